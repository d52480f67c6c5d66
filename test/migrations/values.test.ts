/** Columns and values of every kind: the copy is identical, not merely equal. */
import { describe, expect, inject, test } from "vitest";
import { journey, type Scenario } from "./journey.js";
import { lines } from "./shape.js";

const ANY = "'2026-07-02'::timestamptz + random() * interval '120 days'";
const MONTHS = { by: "at", every: "month", ahead: "1" };
const START = "'2026-07-02'::timestamptz + g * interval '6 hours'";

/** `columns` beside id and at; `values`: one row's, with g for its number; `change`: SET clauses. */
function holding(
  columns: string,
  values: string,
  change: readonly string[],
  rest: Partial<Scenario> = {},
): Scenario {
  const names = columns
    .split(/,(?![^(]*\))/)
    .map((column) => column.trim().split(" ")[0] ?? "")
    .join(", ");
  return {
    setup: [
      `CREATE TABLE public.t (id bigserial PRIMARY KEY, at timestamptz NOT NULL, ${columns})`,
      `INSERT INTO public.t (at, ${names}) SELECT ${START}, ${values} FROM generate_series(1, 400) g`,
    ],
    options: MONTHS,
    insert: `(at, ${names}) SELECT ${ANY}, ${values} FROM generate_series(1, 1) g`,
    updates: [...change, `at = ${ANY}`],
    ...rest,
  };
}

describe("a value would change on its way", () => {
  test("numeric with trailing zeros, float -0 and NaN, intervals, jsonb numbers, unbounded bpchar", async () => {
    await journey(
      holding(
        "n numeric, money numeric(12,2), f float8, i interval, j jsonb, c bpchar",
        "(ARRAY[1.0, 1.00, 'NaN', NULL])[1 + g % 4]::numeric, g * 1.1, (ARRAY['-0', '0', 'NaN', 'Infinity', '1e-310'])[1 + g % 5]::float8, (ARRAY['1 day', '24 hours'])[1 + g % 2]::interval, jsonb_build_object('a', (ARRAY[1.0, 1.00])[1 + g % 2]), (ARRAY['a', 'a  '])[1 + g % 2]::bpchar",
        ["n = n::numeric(20,5)", "f = -f", "i = i * 24", "j = j || '{\"b\": 1.000}'", "c = 'b '"],
      ),
    );
  });

  test("json as it was typed, xml, paths, bytea, arrays, ranges, inet, bits, timestamps to the microsecond", async () => {
    await journey(
      holding(
        "j json, x xml, p path, b bytea, a int[], m text[], r tstzrange, ip inet, bits varbit, ts timestamp(6), tm timetz",
        `'{"b":1,  "a":1.0}', '<a  b="1"/>', '[(0,0),(1,1)]', '\\x00ff', '[2:3]={1,NULL}', ARRAY[['a','b'],['"',NULL]],
         tstzrange('2026-01-01', NULL, '[)'), '::1/64', B'10101', '2026-01-01 00:00:00.123456', '12:00:00.000001+03:30'`,
        ["j = '{ }'", "b = b || '\\x01'", "a = a || 5", "ts = ts + interval '1 microsecond'", "m = '{}'"],
      ),
    );
  });

  test("enums, domains over domains, composites and arrays of them, in a schema that nobody's search_path has", async () => {
    await journey(
      holding(
        `stage "Odd Schema"."Stage", amount "Odd Schema".euro, spot "Odd Schema".spot, spots "Odd Schema".spot[], stages "Odd Schema"."Stage"[]`,
        `'new'::"Odd Schema"."Stage", 1.50, ROW(g, 1.0)::"Odd Schema".spot, ARRAY[ROW(g, 1.00)::"Odd Schema".spot], '{new,done}'::"Odd Schema"."Stage"[]`,
        ["stage = 'done'", "amount = amount + 1", `spot = ROW(1, 2.00)`, "stages = stages || stage"],
        {
          setup: [
            `CREATE SCHEMA "Odd Schema"`,
            `CREATE TYPE "Odd Schema"."Stage" AS ENUM ('new', 'done')`,
            `CREATE DOMAIN "Odd Schema".amount AS numeric(12,2) CHECK (VALUE >= 0)`,
            `CREATE DOMAIN "Odd Schema".euro AS "Odd Schema".amount NOT NULL DEFAULT 0`,
            `CREATE TYPE "Odd Schema".spot AS (x int, y numeric)`,
            `CREATE TABLE public.t (id bigserial PRIMARY KEY, at timestamptz NOT NULL, stage "Odd Schema"."Stage" DEFAULT 'new',
               amount "Odd Schema".euro, spot "Odd Schema".spot, spots "Odd Schema".spot[], stages "Odd Schema"."Stage"[])`,
            `INSERT INTO public.t (at, stage, amount, spot, spots, stages)
             SELECT ${START}, 'new'::"Odd Schema"."Stage", 1.50, ROW(g, 1.0)::"Odd Schema".spot, ARRAY[ROW(g, 1.00)::"Odd Schema".spot], '{new,done}'::"Odd Schema"."Stage"[] FROM generate_series(1, 400) g`,
          ],
        },
      ),
    );
  });

  test("large values, in line, compressed and apart", async () => {
    const big = "(SELECT string_agg(md5(g::text || x::text), '') FROM generate_series(1, 200) x)";
    await journey(
      holding(
        "big text, small text, out_of_line bytea, pressed text COMPRESSION pglz",
        `${big}, 'small', decode(${big}, 'hex'), repeat('x', 9000)`,
        ["small = 'other'", "big = big || 'tail'", "pressed = repeat('y', 9000)"],
        {
          setup: [
            "CREATE TABLE public.t (id bigserial PRIMARY KEY, at timestamptz NOT NULL, big text, small text, out_of_line bytea, pressed text COMPRESSION pglz)",
            "ALTER TABLE public.t ALTER out_of_line SET STORAGE EXTERNAL, ALTER small SET STORAGE MAIN",
            `INSERT INTO public.t (at, big, small, out_of_line, pressed) SELECT ${START}, ${big}, 'small', decode(${big}, 'hex'), repeat('x', 9000) FROM generate_series(1, 150) g`,
          ],
        },
      ),
    );
  });

  test("citext, where A equals a", async ({ skip }) => {
    try {
      await journey(
        holding(
          "name citext, names citext[]",
          "(ARRAY['A', 'a'])[1 + g % 2]::citext, ARRAY['X', 'x']::citext[]",
          ["name = upper(name::text)::citext", "name = lower(name::text)::citext"],
          {
            superuserSetup: [
              "CREATE EXTENSION citext SCHEMA public",
              "GRANT CREATE ON SCHEMA public TO {owner}",
            ],
            setup: [
              "CREATE TABLE public.t (id bigserial PRIMARY KEY, at timestamptz NOT NULL, name public.citext, names public.citext[])",
              `INSERT INTO public.t (at, name, names) SELECT ${START}, (ARRAY['A', 'a'])[1 + g % 2], ARRAY['X', 'x']::public.citext[] FROM generate_series(1, 400) g`,
            ],
            insert: `(at, name) VALUES (${ANY}, (ARRAY['B', 'b'])[1 + (random())::int])`,
            updates: ["name = upper(name::text)", "name = lower(name::text)", `at = ${ANY}`],
          },
        ),
      );
    } catch (error) {
      if (!/extension "citext" is not available/.test(String(error))) throw error;
      skip("the server's build has no citext");
    }
  });

  test("a nondeterministic collation, where resume equals Résumé", async ({ skip }) => {
    try {
      await journey({
        setup: [
          "CREATE COLLATION public.loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false)",
          "CREATE TABLE public.t (id bigserial PRIMARY KEY, at timestamptz NOT NULL, name text COLLATE public.loose)",
          `INSERT INTO public.t (at, name) SELECT ${START}, (ARRAY['resume', 'Résumé'])[1 + g % 2] FROM generate_series(1, 400) g`,
          "CREATE INDEX t_name ON public.t (name)",
        ],
        options: MONTHS,
        insert: `(at, name) VALUES (${ANY}, 'RESUME')`,
        updates: ["name = 'Resume'", "name = 'résumé'", `at = ${ANY}`],
      });
    } catch (error) {
      if (!/ICU is not supported|could not open collator|no usable/.test(String(error))) throw error;
      skip("the server's build has no ICU");
    }
  });
});

describe("columns", () => {
  test("dropped ones, before, between and after", async () => {
    await journey(
      {
        setup: [
          "CREATE TABLE public.t (gone1 int, id bigserial PRIMARY KEY, gone2 text DEFAULT 'x', at timestamptz NOT NULL, note text, gone3 date)",
          `INSERT INTO public.t (gone1, at, note) SELECT g, ${START}, 'n' || g FROM generate_series(1, 400) g`,
          "ALTER TABLE public.t DROP gone1, DROP gone2, DROP gone3, ADD late text DEFAULT 'filled', ADD twice int",
          "ALTER TABLE public.t DROP twice",
        ],
        options: MONTHS,
        insert: `(at, note) VALUES (${ANY}, 'new')`,
        updates: ["note = note || '+'", "late = NULL", `at = ${ANY}`],
      },
      {
        cutOver: async ({ session }) => {
          expect(
            await lines(session, "SELECT late AS line FROM public.t WHERE late = 'filled' LIMIT 1"),
          ).toEqual(["filled"]);
        },
      },
    );
  });

  test("generated and stored", async () => {
    await journey({
      setup: [
        `CREATE TABLE public.t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL, net numeric(12,2),
             gross numeric GENERATED ALWAYS AS (net * 1.19) STORED, slug text GENERATED ALWAYS AS (lower('N' || net::text)) STORED)`,
        `INSERT INTO public.t (at, net) SELECT ${START}, g FROM generate_series(1, 400) g`,
        "CREATE INDEX t_slug ON public.t (slug)",
      ],
      options: MONTHS,
      insert: `(at, net) VALUES (${ANY}, 7.1)`,
      updates: ["net = net + 0.10", "net = NULL", `at = ${ANY}`],
    });
  });

  test.skipIf(inject("server").version !== "18")(
    "generated when read, and NOT NULL under a name of its own (18)",
    async () => {
      await journey({
        setup: [
          `CREATE TABLE public.t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz CONSTRAINT "when is needed" NOT NULL,
           n int CONSTRAINT n_there NOT NULL, twice int GENERATED ALWAYS AS (n * 2) VIRTUAL, plus1 int GENERATED ALWAYS AS (n + 1) STORED)`,
          `INSERT INTO public.t (at, n) SELECT ${START}, g FROM generate_series(1, 400) g`,
          `COMMENT ON CONSTRAINT n_there ON public.t IS 'why n is there'`,
        ],
        options: MONTHS,
        insert: `(at, n) VALUES (${ANY}, 7)`,
        updates: ["n = n + 1", `at = ${ANY}`],
      });
    },
  );

  test("defaults: now(), gen_random_uuid(), '{}', a sequence of another table, a function", async () => {
    await journey(
      {
        setup: [
          "CREATE SEQUENCE public.tickets START 500",
          "CREATE FUNCTION public.tag() RETURNS text LANGUAGE sql AS $$ SELECT 'tag' $$",
          `CREATE TABLE public.t (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), at timestamptz NOT NULL DEFAULT now(), tags text[] NOT NULL DEFAULT '{}',
             data jsonb NOT NULL DEFAULT '{}', ticket bigint NOT NULL DEFAULT nextval('public.tickets'), tag text DEFAULT public.tag(), note text)`,
          "INSERT INTO public.t (note) SELECT 'n' || g FROM generate_series(1, 400) g",
        ],
        options: MONTHS,
        insert: "(note) VALUES ('new')",
        updates: ["note = note || '+'", "data = data || '{\"a\": 1}'", "ticket = DEFAULT, tags = DEFAULT"],
      },
      {
        rolledBack: async ({ session }) => {
          const twice = "SELECT ticket::text AS line FROM public.t GROUP BY ticket HAVING count(*) > 1";
          expect(await lines(session, twice)).toEqual([]);
        },
      },
    );
  });

  test("a partition column that may be NULL and never is: it becomes NOT NULL, and NULL-able again", async () => {
    await journey(
      {
        setup: [
          "CREATE TABLE public.t (id bigserial PRIMARY KEY, at timestamptz, note text)",
          `INSERT INTO public.t (at, note) SELECT ${START}, 'n' || g FROM generate_series(1, 400) g`,
        ],
        options: MONTHS,
        insert: `(at) VALUES (${ANY})`,
        updates: ["note = 'x'", `at = ${ANY}`],
      },
      {
        planned: async ({ plan }) => {
          expect(plan.consequences.map((c) => c.code)).toContain("partition-column-not-null");
        },
        cutOver: async ({ session }) => {
          await expect(session.query("INSERT INTO public.t (at) VALUES (NULL)")).rejects.toThrow(
            /no partition of relation|null value/,
          );
        },
        rolledBack: async ({ session }) => {
          await session.query("BEGIN");
          await session.query("INSERT INTO public.t (at) VALUES (NULL)");
          await session.query("ROLLBACK");
        },
      },
    );
  });

  test("CHECK constraints, named and not, go on refusing", async () => {
    await journey(
      {
        setup: [
          `CREATE TABLE public.t (id bigserial PRIMARY KEY, at timestamptz NOT NULL, n int CHECK (n > 0), m int,
             CONSTRAINT "m below n" CHECK (m < n), CONSTRAINT later CHECK (at > '2000-01-01 00:00:00+00'))`,
          "COMMENT ON CONSTRAINT later ON public.t IS 'nothing older'",
          `INSERT INTO public.t (at, n, m) SELECT ${START}, g + 1, g FROM generate_series(1, 400) g`,
        ],
        options: MONTHS,
        insert: `(at, n, m) VALUES (${ANY}, 5, 4)`,
        updates: ["n = n + 1", "m = NULL", `at = ${ANY}`],
      },
      {
        cutOver: async ({ session }) => {
          const bad = "INSERT INTO public.t (at, n, m) VALUES ('2026-08-01', 1, 2)";
          await expect(session.query(bad)).rejects.toThrow(/"m below n"/);
        },
      },
    );
  });
});

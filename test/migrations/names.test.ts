/** Names that must be quoted, are as long as names get, or begin like another table's. */
import { describe, expect, test } from "vitest";
import { ident, qualified } from "../../src/pg/quote.js";
import { journey, type Scenario } from "./journey.js";
import { leavesOf, lines } from "./shape.js";

const ANY = "'2026-07-02'::timestamptz + random() * interval '120 days'";
const START = "'2026-07-02'::timestamptz + g * interval '6 hours'";

/** A table of any name with a column of any name, in any schema. */
function called(schema: string, name: string, column: string, rest: Partial<Scenario> = {}): Scenario {
  const table = qualified(schema, name);
  const at = ident(column);
  return {
    setup: [
      ...(schema === "public" ? [] : [`CREATE SCHEMA ${ident(schema)}`]),
      `CREATE TABLE ${table} ("Id" bigserial PRIMARY KEY, ${at} timestamptz NOT NULL, "note'" text)`,
      `INSERT INTO ${table} (${at}, "note'") SELECT ${START}, 'n' || g FROM generate_series(1, 400) g`,
      `CREATE INDEX ON ${table} (${at})`,
      `CREATE INDEX ON ${table} ("note'", ${at} DESC)`,
    ],
    table,
    options: { by: column, every: "month", ahead: "1" },
    insert: `(${at}, "note'") VALUES (${ANY}, 'new')`,
    updates: [`"note'" = 'x'`, `${at} = ${ANY}`],
    ...rest,
  };
}

describe("a name would break a statement, or be cut off and meet another", () => {
  test.each([
    ["public", "Conversation Message", "createdAt"],
    ["Odd Schema", 'Odd"Name', "when 'it' was"],
    ["public", "events", "timestamp"],
    ["public", "user", "order"],
    ["$sch.ema", "dotted.name$1", "a.b$2"],
    ["public", "Ünïcode täble 表", "größe"],
    ["public", "t".repeat(63), "c".repeat(63)],
    ["public", "ü".repeat(31), "é".repeat(31)],
    ["s".repeat(63), 'q"'.repeat(31), "at"],
    ["public", "back\\slash", "back\\at"],
  ])("%s . %s by %s", async (schema, name, column) => {
    await journey(called(schema, name, column), {
      cutOver: async ({ session, table }) => {
        for (const leaf of await leavesOf(session, table))
          expect(Buffer.byteLength(leaf.name)).toBeLessThanOrEqual(63);
      },
    });
  });

  test("a column typed without its capitals or with its quotes, a table typed without its schema", async () => {
    await journey(
      called("public", "t", "created_at", {
        typed: "T",
        options: { by: "Created_At", every: "month", ahead: "1" },
      }),
    );
    await journey(
      called("public", "t", "createdAt", {
        typed: "t",
        options: { by: '"createdAt"', every: "month", ahead: "1" },
      }),
    );
  });
});

test("the leaves of a table whose name begins like this one's would be renamed or dropped", async () => {
  const other =
    "SELECT concat_ws(' ', oid, relname, relkind, relispartition) AS line FROM pg_class WHERE relname ~ '^message_(recipient|queue)' ORDER BY 1";
  let before: string[] = [];
  const seen = async ({ session }: { session: Parameters<typeof lines>[0] }) => {
    expect(await lines(session, other)).toEqual(before);
  };
  await journey(
    called("public", "message", "at", {
      setup: [
        ...called("public", "message", "at").setup,
        `CREATE TABLE public.message_recipient (id bigint, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)`,
        `CREATE TABLE public.message_recipient_2026_09 PARTITION OF public.message_recipient FOR VALUES FROM ('2026-09-01 00:00:00+00') TO ('2026-10-01 00:00:00+00')`,
        "INSERT INTO public.message_recipient VALUES (1, '2026-09-05')",
        "CREATE TABLE public.message_queue (id int)",
      ],
    }),
    {
      planned: async ({ session }) => {
        before = await lines(session, other);
        expect(before).toHaveLength(5);
      },
      cutOver: async (scene) => {
        await seen(scene);
        expect(
          (await leavesOf(scene.session, scene.table)).filter((leaf) => leaf.name.includes("recipient")),
        ).toEqual([]);
      },
      rolledBack: async (scene) => {
        await seen(scene);
        expect(
          await lines(scene.session, "SELECT count(*)::text AS line FROM public.message_recipient"),
        ).toEqual(["1"]);
      },
    },
  );
});

test("a leaf name that another table has already is left to it", async () => {
  await journey(
    called("public", "t", "at", {
      setup: [
        ...called("public", "t", "at").setup,
        "CREATE TABLE public.t_2026_08 (id int)",
        "CREATE SEQUENCE public.t_2026_09",
      ],
    }),
    {
      cutOver: async ({ session }) => {
        const names = (await leavesOf(session, "public.t")).map((leaf) => leaf.name);
        expect(names).toEqual(expect.arrayContaining(["t_2026_08_2", "t_2026_09_2", "t_2026_10"]));
      },
    },
  );
});

/** Through the command line, and out of the database: what pg_dump writes of the result can be restored. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, inject, test } from "vitest";
import { z } from "zod";
import { EXIT } from "../../src/errors.js";
import { bundleCli } from "../support/bundle.js";
import { freshDatabase } from "../support/database.js";
import { type Drive, journey, type Scenario } from "./journey.js";
import { indexCover, leavesOf, lines, rowText, shapeOf } from "./shape.js";

const execute = promisify(execFile);
const cli = bundleCli();
afterAll(() => cli.remove());
const ANY = "'2026-07-02'::timestamptz + random() * interval '120 days'";

const Ended = z.looseObject({ event: z.literal("finished"), outcome: z.string() });
const Failed = z.object({ code: z.number(), stdout: z.string(), stderr: z.string() });

/** Runs the command line as a person would; its exit code and what it wrote. */
async function partway(
  args: string[],
  url: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { ...process.env, DATABASE_URL: url };
  try {
    const done = await execute(process.execPath, [cli.file, ...args], { env });
    return { code: 0, ...done };
  } catch (error) {
    return Failed.parse(error);
  }
}

function outcome(stdout: string): string {
  return Ended.parse(JSON.parse(stdout.trim().split("\n").at(-1) ?? "null")).outcome;
}

/** Options as typed, in the order in which they were given. */
function typed(options: Record<string, unknown>): string[] {
  return Object.entries(options).flatMap(([name, value]) =>
    typeof value === "string" ? [`--${name}`, value] : [],
  );
}

const commandLine: Drive = {
  run: async ({ table, url, state, ...options }) => {
    const args = [
      "run",
      table,
      ...typed(options),
      "--yes",
      "--no-hold",
      "--no-backup",
      "--json",
      "--state",
      state,
    ];
    const { code, stdout, stderr } = await partway(args, url);
    expect({ code, stderr }).toEqual({ code: EXIT.done, stderr: "" });
    expect(outcome(stdout)).toBe("retained");
  },
  rollback: async ({ url, state }) => {
    const { code, stdout, stderr } = await partway(
      ["rollback", "--no-hold", "--json", "--state", state],
      url,
    );
    expect({ code, stderr }).toEqual({ code: EXIT.done, stderr: "" });
    expect(outcome(stdout)).toBe("rolled-back");
  },
};

describe("what works in process would fail as typed", () => {
  const shapes: readonly (Scenario & { name: string })[] = [
    {
      name: "months, a quoted table in another schema",
      setup: [
        `CREATE SCHEMA "Odd Schema"`,
        `CREATE TABLE "Odd Schema"."Odd""Name" ("Id" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "createdAt" timestamptz NOT NULL, note text)`,
        `INSERT INTO "Odd Schema"."Odd""Name" ("createdAt", note) SELECT '2026-07-02'::timestamptz + g * interval '6 hours', 'n' || g FROM generate_series(1, 400) g`,
      ],
      table: `"Odd Schema"."Odd""Name"`,
      options: { by: "createdAt", every: "month", ahead: "1", leaf: "odd_y{YYYY}m{MM}" },
      insert: `("createdAt", note) VALUES (${ANY}, 'new')`,
      updates: ["note = note || '+'", `"createdAt" = ${ANY}`],
    },
    {
      name: "eight remainders",
      setup: [
        "CREATE TABLE public.campaigns (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id int NOT NULL)",
        "INSERT INTO public.campaigns (user_id) SELECT g % 50 FROM generate_series(1, 400) g",
      ],
      table: "public.campaigns",
      typed: "campaigns",
      options: { by: "user_id", hash: "8", leaf: "campaigns_partition_{n}", keep: "7d" },
      insert: "(user_id) VALUES ((random() * 50)::int)",
      updates: ["user_id = user_id + 1"],
    },
    {
      name: "a list with a comma in a value",
      setup: [
        "CREATE TABLE public.t (id serial PRIMARY KEY, region text NOT NULL)",
        "INSERT INTO public.t (region) SELECT (ARRAY['eu', 'a, b', 'it''s'])[1 + g % 3] FROM generate_series(1, 400) g",
      ],
      table: "public.t",
      options: { by: "region", list: `eu,"a, b",it's` },
      insert: "(region) VALUES ('eu')",
      updates: ["region = 'a, b'", "region = 'it''s'"],
    },
  ];
  test.each(shapes)("$name", async (scenario) => {
    await journey(scenario, { drive: commandLine });
  });

  test("a refusal ends with exit code 3, bad input with 2, and nothing is touched", async () => {
    const db = await freshDatabase();
    const state = await mkdtemp(join(tmpdir(), "partway-elsewhere-"));
    try {
      const session = await db.session();
      await session.query("CREATE TABLE public.t (id int PRIMARY KEY, at timestamptz NOT NULL)");
      await session.query("CREATE MATERIALIZED VIEW public.v AS SELECT id FROM public.t");
      const before = await lines(
        session,
        "SELECT oid || relname AS line FROM pg_class WHERE oid > 16383 ORDER BY 1",
      );
      const usual = ["--by", "at", "--every", "month", "--yes", "--state", state];
      const refused = await partway(["run", "t", ...usual], db.ownerUrl);
      expect(refused.code).toBe(EXIT.refused);
      expect(refused.stderr).toContain("DROP MATERIALIZED VIEW public.v;");
      expect((await partway(["plan", "t", ...usual.slice(0, 4)], db.ownerUrl)).stdout).toContain(
        "DROP MATERIALIZED VIEW public.v;",
      );
      for (const bad of [
        ["nowhere", ...usual],
        ["t", "--by", "att", ...usual.slice(2)],
        ["t", "--by", "at", "--yes"],
      ])
        expect((await partway(["run", ...bad], db.ownerUrl)).code).toBe(EXIT.badInput);
      expect(
        await lines(session, "SELECT oid || relname AS line FROM pg_class WHERE oid > 16383 ORDER BY 1"),
      ).toEqual(before);
    } finally {
      await rm(state, { recursive: true, force: true });
      await db.drop();
    }
  });
});

// pg_dump refuses a server newer than itself, and 15 is what a distribution's package gives here.
const dumps = await execute("pg_dump", ["--version"]).then(
  ({ stdout }) => stdout.includes(" 15."),
  () => false,
);
test.skipIf(!dumps || inject("server").version !== "15")(
  "a backup of the partitioned table, made with pg_dump 15, could not be restored",
  async () => {
    const dir = await mkdtemp(join(tmpdir(), "partway-dump-"));
    const target = await freshDatabase();
    try {
      await journey(
        {
          setup: [
            "CREATE TYPE public.stage AS ENUM ('new', 'done')",
            `CREATE TABLE public.t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), stage public.stage DEFAULT 'new',
             net numeric(12,2) CONSTRAINT positive CHECK (net > 0), gross numeric GENERATED ALWAYS AS (net * 1.19) STORED, data jsonb DEFAULT '{}') WITH (fillfactor = 80)`,
            "INSERT INTO public.t (at, net) SELECT '2026-07-02'::timestamptz + g * interval '6 hours', g FROM generate_series(1, 400) g",
            "CREATE INDEX by_stage ON public.t (stage, at DESC) WHERE stage = 'new'",
            "CREATE UNIQUE INDEX one ON public.t (at, id) INCLUDE (net)",
            "CREATE INDEX ON public.t USING gin (data)",
            "COMMENT ON TABLE public.t IS 'a table'",
            "COMMENT ON INDEX public.by_stage IS 'the open ones'",
          ],
          options: { by: "at", every: "month", ahead: "2" },
          insert: `(at, net) VALUES (${ANY}, 7)`,
          updates: ["net = net + 1", "stage = 'done'", `at = ${ANY}`],
        },
        {
          cutOver: async ({ db, session, table }) => {
            const file = join(dir, "t.dump");
            await execute("pg_dump", ["-Fc", "--no-owner", "--schema=public", "-f", file, db.ownerUrl]);
            await execute("pg_restore", [
              "--no-owner",
              "--no-acl",
              "--clean",
              "--if-exists",
              "-d",
              target.superuserUrl,
              file,
            ]).catch((error: unknown) => {
              // The reverse capture's triggers need their function, which is in Partway's own schema and stays out.
              const { stderr } = Failed.parse(error);
              const unexpected = stderr
                .split("\n")
                .filter((line) => line.includes("ERROR") && !/"partway/.test(line));
              expect(unexpected).toEqual([]);
            });
            const restored = await target.session(target.superuserUrl);
            const here = await shapeOf(session, table);
            const there = await shapeOf(restored, table);
            const { rights: _r, triggers: _t, sequences: _s, ...same } = here;
            expect(there).toMatchObject(same);
            expect(
              (await leavesOf(restored, table))
                .map(({ name, bound, options }) => ({ name, bound, options }))
                .sort((a, b) => (a.name < b.name ? -1 : 1)),
            ).toEqual(
              (await leavesOf(session, table))
                .map(({ name, bound, options }) => ({ name, bound, options }))
                .sort((a, b) => (a.name < b.name ? -1 : 1)),
            );
            expect(await indexCover(restored, table)).toEqual({ short: [], extra: [] });
            const all = `SELECT ${await rowText(session, table)} AS line FROM ${table} AS t ORDER BY 1`;
            expect(await lines(restored, all)).toEqual(await lines(session, all));
            const [largest] = await lines(restored, `SELECT max(id)::text AS line FROM ${table}`);
            await restored.query(`INSERT INTO ${table} (net) VALUES (1)`);
            expect(
              Number((await lines(restored, `SELECT max(id)::text AS line FROM ${table}`))[0]),
            ).toBeGreaterThan(Number(largest));
          },
        },
      );
    } finally {
      await target.drop();
      await rm(dir, { recursive: true, force: true });
    }
  },
);

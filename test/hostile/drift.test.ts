/**
 * Somebody changes the table while it is migrated. Whatever he does and whenever: the run stops with exit 7 and shows
 * the difference, or handles it and says so; never a row is lost; and what the message asks for works, typed literally.
 * Every action in every phase with PARTWAY_TEST_FULL=1; otherwise each action once, the phases in turn.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { EXIT, PartwayError } from "../../src/errors.js";
import type { Working } from "../../state/machine.js";
import type { TestMigration } from "../support/migration.js";
import { type Hostile, openHostile } from "./scene.js";

let scene: Hostile;
let dir: string;

beforeEach(async () => {
  scene = await openHostile();
  dir = mkdtempSync(join(tmpdir(), "partway-drift-"));
});
afterEach(async () => {
  await scene.db.drop();
  rmSync(dir, { recursive: true, force: true });
});

type Sql = (role: string) => string[];
interface Action {
  what: string;
  act: Sql;
  /** Takes it back; null: it cannot be, and the other remedy is followed: abort, plan again. */
  undo: Sql | null;
  /** What the drift must show; null: handled, the table goes live. */
  shown: RegExp | null;
}

const T = "public.orders";
const ACTIONS: Action[] = [
  {
    what: "ADD COLUMN",
    act: () => [`ALTER TABLE ${T} ADD COLUMN coupon text`],
    undo: () => [`ALTER TABLE ${T} DROP COLUMN coupon`],
    shown: /\+ column 5 coupon text/,
  },
  {
    what: "DROP COLUMN",
    act: () => [`ALTER TABLE ${T} DROP COLUMN amount`],
    undo: null,
    shown: /- column 4 amount numeric/,
  },
  {
    what: "a wider type",
    act: () => [`ALTER TABLE ${T} ALTER COLUMN amount TYPE numeric(20, 4)`],
    undo: () => [`ALTER TABLE ${T} ALTER COLUMN amount TYPE numeric`],
    shown: /\+ column 4 amount numeric\(20,4\)/,
  },
  {
    what: "a default",
    act: () => [`ALTER TABLE ${T} ALTER COLUMN amount SET DEFAULT 7`],
    undo: () => [`ALTER TABLE ${T} ALTER COLUMN amount SET DEFAULT 0`],
    shown: /\+ column 4 amount numeric not null default 7/,
  },
  {
    what: "NOT NULL",
    act: () => [`ALTER TABLE ${T} ALTER COLUMN note SET NOT NULL`],
    undo: () => [`ALTER TABLE ${T} ALTER COLUMN note DROP NOT NULL`],
    shown: /\+ column 3 note text not null/,
  },
  {
    what: "RENAME COLUMN",
    act: () => [`ALTER TABLE ${T} RENAME COLUMN note TO remark`],
    undo: () => [`ALTER TABLE ${T} RENAME COLUMN remark TO note`],
    shown: /- column 3 note text|\+ column 3 remark text/,
  },
  {
    what: "a new index",
    act: () => [`CREATE INDEX late_idx ON ${T} (amount)`],
    undo: () => ["DROP INDEX public.late_idx"],
    shown: /\+ index late_idx/,
  },
  {
    what: "a dropped index",
    act: () => ["DROP INDEX public.orders_note_idx"],
    undo: () => [`CREATE INDEX orders_note_idx ON ${T} (note)`],
    shown: /- index orders_note_idx/,
  },
  {
    what: "a dropped CHECK",
    act: () => [`ALTER TABLE ${T} DROP CONSTRAINT amount_positive`],
    undo: () => [`ALTER TABLE ${T} ADD CONSTRAINT amount_positive CHECK (amount >= 0)`],
    shown: /- constraint amount_positive/,
  },
  {
    what: "the table renamed",
    act: () => [`ALTER TABLE ${T} RENAME TO elsewhere`],
    undo: () => ["ALTER TABLE public.elsewhere RENAME TO orders"],
    shown: /no longer the table the plan was made from \(it was dropped or renamed\)/,
  },
  {
    what: "the table dropped and made again",
    act: () => [
      `CREATE TABLE public.made AS TABLE ${T}`,
      `DROP TABLE ${T}`,
      `CREATE TABLE ${T} (id bigint PRIMARY KEY, created_at timestamptz NOT NULL, note text, amount numeric NOT NULL)`,
      `INSERT INTO ${T} SELECT * FROM public.made`,
    ],
    undo: null,
    shown: /no longer the table the plan was made from \(it was replaced\)/,
  },
  {
    what: "REVOKE SELECT from the role that runs it",
    act: (role) => [`REVOKE SELECT ON ${T} FROM ${role}`],
    undo: (role) => [`GRANT SELECT ON ${T} TO ${role}`],
    shown: /- grant SELECT to/,
  },
  {
    what: "REVOKE of the schema from the role that runs it",
    act: (role) => [`REVOKE ALL ON SCHEMA public FROM ${role}`],
    undo: (role) => [`GRANT ALL ON SCHEMA public TO ${role}`],
    shown: /a right that Partway needs was taken away since the plan: permission denied for schema public/,
  },
  {
    what: "ALTER OWNER",
    act: () => [`ALTER TABLE ${T} OWNER TO postgres`],
    undo: (role) => [`ALTER TABLE ${T} OWNER TO ${role}`],
    shown: /- owner owner_/,
  },
  { what: "VACUUM FULL", act: () => [`VACUUM FULL ${T}`], undo: null, shown: null },
  { what: "CLUSTER", act: () => [`CLUSTER ${T} USING orders_pkey`], undo: null, shown: null },
  {
    what: "TRUNCATE and rows again",
    act: () => [`TRUNCATE ${T}`, `INSERT INTO ${T} (created_at, note) VALUES ('2025-05-05', 'again')`],
    undo: null,
    shown: null,
  },
];

/** When it happens: right before a phase, or in the middle of one at a statement before which nothing is locked. */
const MOMENTS: [when: string, phase: Working, at: RegExp | null][] = [
  ["during the backup", "backup", /^LOCK TABLE "public"\."orders" IN ACCESS SHARE/],
  ["before the shadow is made", "shadow", null],
  ["before the copy", "copy", null],
  ["between two batches of the copy", "copy", /^INSERT INTO "public"\."orders_partitioned"/],
  ["before the indexes", "index", null],
  ["while indexes are built", "index", /^VACUUM/],
  ["before the validation", "validate", null],
  ["right before the validation's snapshot", "validate", /^LOCK TABLE .*"partway"/],
  ["before the cutover", "cutover", null],
  ["between the cutover's last look and its lock", "cutover", /^SET LOCAL lock_timeout/],
];

const ORDER: Working[] = ["backup", "shadow", "copy", "index", "validate", "cutover"];
const FULL = process.env["PARTWAY_TEST_FULL"] === "1";
const CELLS = ACTIONS.flatMap((action, row) =>
  MOMENTS.filter((_, column) => FULL || column === (row * 3 + 3) % MOMENTS.length).map(
    ([when, phase, at]) => [action.what, when, action, phase, at] as const,
  ),
);

async function phaseByPhase(
  migration: TestMigration,
  from: Working,
  act: () => Promise<void>,
  at: RegExp | null,
) {
  for (const phase of ORDER.slice(0, ORDER.indexOf(from))) await one(migration, phase);
  if (at === null) await act();
  else migration.before(at, act);
  if (from === "backup") await one(migration, "backup");
  await goOn(migration);
}

const one = (migration: TestMigration, phase: Working) =>
  migration.run(phase, phase === "backup" ? { backupDir: dir } : {});

/** On to the end, as `partway resume` again and again: a copy that starts again, and one more validation. */
async function goOn(migration: TestMigration): Promise<void> {
  for (let again = 0; ; again++) {
    try {
      return await migration.through("cutover");
    } catch (error) {
      if (!(error instanceof PartwayError) || !error.next.includes("validates again") || again > 2)
        throw error;
    }
  }
}

test.each(CELLS)(
  "%s %s would be lost, break the new table, or leave no way on",
  async (_what, _when, action, phase, at) => {
    const migration = await scene.start();
    const role = scene.db.role;
    let acted = false;
    const perform = async (statements: string[]) => {
      for (const statement of statements) await scene.admin.query(statement);
    };
    const happened = phaseByPhase(
      migration,
      phase,
      async () => {
        await perform(action.act(role));
        acted = true;
      },
      at,
    );
    if (action.shown === null) {
      await happened;
      expect(acted).toBe(true);
      expect(await scene.kind()).toBe("p");
      expect(await migration.difference("reverse")).toEqual({ missing: [], extra: [] });
      return;
    }
    const error = await happened.catch((e: unknown) => e);
    expect(acted).toBe(true);
    expect(error).toMatchObject({
      kind: "drift",
      exitCode: EXIT.drift,
      message: expect.stringMatching(action.shown),
      next: expect.stringContaining(action.undo === null ? "partway abort" : migration.plan.id),
    });
    expect(await scene.kind()).not.toBe("p");
    if (action.undo !== null) {
      await perform(action.undo(role));
      const before = await scene.rows();
      await goOn(migration);
      expect(await scene.kind()).toBe("p");
      expect(await scene.rows()).toBe(before);
      return;
    }
    await migration.run("abort");
    await perform([`ALTER TABLE ${T} OWNER TO ${role}`]);
    const before = await scene.rows();
    const next = await scene.start();
    await goOn(next);
    expect(await scene.kind()).toBe("p");
    expect(await scene.rows()).toBe(before);
  },
);

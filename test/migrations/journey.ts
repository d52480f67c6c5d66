/**
 * A whole migration under writes, with what Partway promises checked at each stop: run -> identical content and the
 * promised catalog -> more writes -> rollback -> identical content, the old catalog, nothing of Partway left.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { z } from "zod";
import { plan as makePlan, proceed, run } from "../../src/api.js";
import type { RawOptions } from "../../src/config/request.js";
import { diff } from "../../src/inspect.js";
import { ident, literal, qualified } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import type { Plan } from "../../src/plan/types.js";
import type { RunEvent } from "../../state/events.js";
import { asAdmin, freshDatabase, type TestDatabase } from "../support/database.js";
import { type Clients, inZone, startClients } from "./clients.js";
import { indexCover, leavesOf, lines, rowText, type Shape, shapeOf, traces } from "./shape.js";

export interface Scenario {
  /** Makes the table and its rows. */
  setup: readonly string[];
  /** Run as superuser before that. */
  superuserSetup?: readonly string[];
  /** Quoted and qualified; also what is typed, unless `typed` says otherwise. Default: "public"."t". */
  table?: string;
  typed?: string;
  options: RawOptions;
  insert: string;
  updates: readonly string[];
  /** Time zone of the database, the role and the application's sessions. */
  zone?: string;
  /** Roles of this scenario alone: `{name}` in its SQL stands for `name_<database>`. */
  roles?: readonly string[];
  /** Default: the owner of the database, who is no superuser. */
  as?: "superuser";
}

export interface Scene {
  db: TestDatabase;
  /** As the migrating role. */
  session: Session;
  url: string;
  table: string;
  plan: Plan;
  before: Shape;
  clients: Clients;
  zone?: string;
  events: RunEvent[];
}

export interface Stops {
  /** The source is there, nothing is done yet. */
  planned?(scene: Scene): Promise<void>;
  /** The application is on the partitioned table; the clients rest. */
  cutOver?(scene: Scene): Promise<void>;
  /** The application itself changes the table's triggers during the window. */
  triggersChange?: true;
  /** The application is on the old table again; the clients rest. */
  rolledBack?(scene: Scene): Promise<void>;
  /** Called instead of run and proceed of src/api.ts, by the tests of the command line. */
  drive?: Drive;
}

export interface Drive {
  run(how: RawOptions & { table: string; url: string; state: string }): Promise<void>;
  rollback(how: { url: string; state: string }): Promise<void>;
}

const inProcess = (events: RunEvent[]): Drive => ({
  run: async (how) => {
    const started = await run({ ...how, backup: false, onEvent: (event) => events.push(event) });
    const { outcome, error } = await started.finished;
    expect({ outcome, error: error?.message ?? null }).toEqual({ outcome: "retained", error: null });
  },
  rollback: async (how) => {
    const started = await proceed("rollback", { ...how, onEvent: (event) => events.push(event) });
    const { outcome, error } = await started.finished;
    expect({ outcome, error: error?.message ?? null }).toEqual({ outcome: "rolled-back", error: null });
  },
});

/** How many commits the application makes before each step, at least. */
const COMMITS = 12;

/** Makes the scenario's database, goes the whole way, and drops it. Asserts at each stop; `stops` adds to that. */
export async function journey(scenario: Scenario, stops: Stops = {}): Promise<void> {
  const db = await freshDatabase();
  const state = await mkdtemp(join(tmpdir(), "partway-journey-"));
  const roles = (scenario.roles ?? []).map((role) => ({ role, name: ident(`${role}_${db.name}`) }));
  const fill = (sql: string) =>
    roles.reduce(
      (text, { role, name }) => text.replaceAll(`{${role}}`, name),
      sql.replaceAll("{owner}", ident(db.role)).replaceAll("{db}", ident(db.name)),
    );
  try {
    const url = scenario.as === "superuser" ? db.superuserUrl : db.ownerUrl;
    const session = await db.session(url);
    const admin = await db.session(db.superuserUrl);
    if (scenario.zone !== undefined)
      for (const what of [`DATABASE ${ident(db.name)}`, `ROLE ${ident(db.role)}`])
        await admin.query(`ALTER ${what} SET TimeZone = ${literal(scenario.zone)}`);
    for (const { name } of roles) await admin.query(`CREATE ROLE ${name}`);
    for (const sql of scenario.superuserSetup ?? []) await admin.query(fill(sql));
    for (const sql of scenario.setup) await session.query(fill(sql));
    const table = scenario.table ?? `"public"."t"`;
    const typed = scenario.typed ?? table;
    const zone = scenario.zone === undefined ? {} : { zone: scenario.zone };
    const clients = await startClients({
      url,
      table,
      insert: scenario.insert,
      updates: scenario.updates,
      ...zone,
    });
    try {
      const how = { ...scenario.options, table: typed, url, state };
      const plan = await makePlan(how);
      expect(plan.refusals).toEqual([]);
      const before = await shapeOf(session, table);
      const scene: Scene = { db, session, url, table, plan, before, clients, events: [], ...zone };
      await travel(scene, how, stops);
    } finally {
      await clients.stop();
    }
  } finally {
    await rm(state, { recursive: true, force: true });
    await asAdmin(db.superuserUrl, async (admin) => {
      for (const { name } of roles) {
        const there = await admin.query("SELECT FROM pg_roles WHERE rolname = $1", [name.slice(1, -1)]);
        if (there.count > 0) await admin.query(`DROP OWNED BY ${name} CASCADE`);
        await admin.query(`DROP ROLE IF EXISTS ${name}`);
      }
    });
    await db.drop();
  }
}

async function travel(
  scene: Scene,
  how: RawOptions & { table: string; url: string; state: string },
  stops: Stops,
): Promise<void> {
  const { session, clients, table, plan, before } = scene;
  const drive = stops.drive ?? inProcess(scene.events);
  const names = await relations(session, plan.names.schema);
  await stops.planned?.(scene);

  await clients.busy(COMMITS);
  await drive.run(how);
  await clients.busy(COMMITS);
  await clients.rest();
  await assertContent(scene);
  await assertPartitioned(scene);
  await assertAlike(how, "new");
  await stops.cutOver?.(scene);

  clients.go();
  await clients.busy(COMMITS);
  await drive.rollback({ url: how.url, state: how.state });
  await clients.busy(COMMITS);
  await clients.rest();
  await assertContent(scene);
  if (stops.triggersChange !== true) await assertAlike(how, "source");
  const after = await shapeOf(session, table);
  expect(stops.triggersChange === true ? { ...after, triggers: before.triggers } : after).toEqual(before);
  expect(
    await lines(session, "SELECT relkind::text AS line FROM pg_class WHERE oid = $1::regclass", [table]),
  ).toEqual(["r"]);
  await stops.rolledBack?.(scene);
  await session.query(`DROP TABLE ${qualified(plan.names.schema, plan.names.failed)}`);
  expect(await traces(session)).toEqual([]);
  expect(await relations(session, plan.names.schema)).toEqual(names);
}

/** `partway diff` finds nothing that nothing explains. */
async function assertAlike(how: { url: string; state: string }, stage: "new" | "source"): Promise<void> {
  const found = await diff(how);
  expect({ stage: found.stage, unexpected: found.unexpected }).toEqual({ stage, unexpected: [] });
}

function relations(session: Session, schema: string): Promise<string[]> {
  return lines(
    session,
    "SELECT relname || ' ' || oid AS line FROM pg_class WHERE relnamespace = to_regnamespace($1) ORDER BY 1",
    [ident(schema)],
  );
}

const Rows = z.object({ row: z.string(), n: z.coerce.number() });

/** The table holds what the clients committed, no more and no less, and no key twice. */
export async function assertContent({
  session,
  clients,
  table,
  plan,
  zone,
}: Pick<Scene, "session" | "clients" | "table" | "zone"> & { plan: Pick<Plan, "key"> }): Promise<void> {
  expect(clients.errors).toEqual([]);
  const image = await rowText(session, table);
  await inZone(session, zone);
  const found = await session.rows(
    Rows,
    `SELECT ${image} AS row, count(*)::text AS n FROM ${table} AS t GROUP BY 1`,
  );
  await inZone(session);
  const is = new Map(found.map(({ row, n }) => [row, n]));
  const lost = [...clients.ledger].filter(([row, n]) => (is.get(row) ?? 0) < n);
  const extra = [...is].filter(([row, n]) => (clients.ledger.get(row) ?? 0) < n);
  expect({ lost, extra }).toEqual({ lost: [], extra: [] });
  const key = plan.key.map((column) => ident(column.name)).join(", ");
  expect(
    await lines(
      session,
      `SELECT ROW(${key})::text AS line FROM ${table} GROUP BY ${key} HAVING count(*) > 1`,
    ),
  ).toEqual([]);
}

/** The catalog as promised: the source's shape but for the key, which the partition column extends. */
export async function assertPartitioned({
  session,
  table,
  plan,
  before,
}: Pick<Scene, "session" | "table" | "plan" | "before">): Promise<void> {
  const now = await shapeOf(session, table);
  expect(
    await lines(session, "SELECT relkind::text AS line FROM pg_class WHERE oid = $1::regclass", [table]),
  ).toEqual(["p"]);
  expect(now.columns).toEqual(notNullNow(before, now, plan));
  const { checks, rights, sequences, comments } = before;
  expect({
    checks: now.checks,
    rights: now.rights,
    sequences: now.sequences,
    comments: now.comments,
  }).toEqual({
    checks,
    rights,
    sequences,
    comments,
  });
  expect(reread(now.indexes)).toEqual(reread(await extended(session, before, plan)));
  expect(await indexCover(session, table)).toEqual({ short: [], extra: [] });
  const owner = before.rights.filter((line) => line.startsWith("owner "));
  for (const leaf of await leavesOf(session, table)) {
    expect({ ...leaf, bound: "" }).toEqual({
      name: leaf.name,
      bound: "",
      options: before.options,
      owner: owner[0]?.slice("owner ".length),
      grants: [],
    });
  }
}

/** Columns of the pair that could be NULL cannot any more; the name of that constraint (18) is the server's. */
function notNullNow(before: Shape, now: Shape, plan: Plan): string[] {
  const pair = new Set([...plan.key, ...plan.partitionBy].map((column) => column.name));
  return before.columns.map((line, at) => {
    const column = plan.source.columns[at];
    if (column === undefined || column.notNull || !pair.has(column.name)) return line;
    return / not null \S*/.test(now.columns[at] ?? "")
      ? line.replace(/( coll \d+)/, `$1${/ not null \S*/.exec(now.columns[at] ?? "")?.[0] ?? ""}`)
      : line;
  });
}

/**
 * The server writes `IN` over a varchar in one way, and having read that back (as pg_dump has it do, too) in another,
 * which means the same to the planner.
 */
function reread(indexes: Record<string, string>): Record<string, string> {
  const items = (list: string) => list.split(", ").map((item) => `(${item})::text`);
  return Object.fromEntries(
    Object.entries(indexes).map(([name, line]) => [
      name,
      line.replaceAll(
        /\(ARRAY\[([^\]]*)\]\)::text\[\]/g,
        (_, list: string) => `ARRAY[${items(list).join(", ")}]`,
      ),
    ]),
  );
}

async function extended(session: Session, before: Shape, plan: Plan): Promise<Record<string, string>> {
  const keys = new Set([
    plan.keyIndexName,
    ...plan.source.indexes.filter((index) => index.primary).map((index) => index.name),
  ]);
  const [column] = await lines(session, "SELECT quote_ident($1) AS line", [plan.partitionBy[0]?.name ?? ""]);
  return Object.fromEntries(
    Object.entries(before.indexes).map(([name, line]) => {
      const columns = /USING btree \((.*?)\)(?= |$)/.exec(line)?.[1]?.split(", ") ?? [];
      if (!keys.has(name) || column === undefined || columns.includes(column)) return [name, line];
      const longer = line
        .replace(/USING btree \(.*?\)(?= |$)/, () => `USING btree (${[...columns, column].join(", ")})`)
        .replace(` INCLUDE (${column})`, "");
      return [name, longer];
    }),
  );
}

/**
 * A table in care handed over to pg_partman, 4 or 5: a row of its part_config, as create_parent would write it. That
 * function itself would make leaves of its own around now, which overlap those that are there.
 */
import { z } from "zod";
import { openArchive } from "../archive/store.js";
import { recogniseTable } from "../care/decide.js";
import { indexOf, standsOn, startAt, textOf } from "../care/grid.js";
import { type Policy, policyOf, type Retention } from "../care/policy.js";
import { Present, readPolicies, readStanding } from "../care/store.js";
import { type CareTable, readCareTable, shellName, shownName } from "../care/table.js";
import { resolveTable } from "../catalog/resolve.js";
import { badInput, PartwayError } from "../errors.js";
import { ident, literal, qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import type { Interval } from "../plan/types.js";

export const PARTMAN_SQL = {
  extension: /*sql*/ `
SELECT e.extversion AS version, n.nspname::text AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname = 'pg_partman'`,
  alone: /*sql*/ `SELECT pg_try_advisory_xact_lock(hashtext('partway maintain'), 0)::text AS present`,
  enabled: /*sql*/ `UPDATE partway.partition_config SET enabled = $2::boolean WHERE table_name = $1::oid::regclass`,
  suffix: /*sql*/ `SELECT to_char($1::timestamp, $2) AS suffix`,
  registered: (schema: string) =>
    /*sql*/ `SELECT EXISTS (SELECT FROM ${qualified(schema, "part_config")} WHERE parent_table = $1)::text AS present`,
  insert: (schema: string) => /*sql*/ `
INSERT INTO ${qualified(schema, "part_config")} (parent_table, control, partition_type, partition_interval, premake, retention,
       retention_keep_table, datetime_string, infinite_time_partitions, inherit_privileges, automatic_maintenance, jobmon)
VALUES ($1, $2, $3, $4, $5::int, $6, $7::boolean, $8, $9::boolean, true, 'on', false)`,
  remove: (schema: string) =>
    /*sql*/ `DELETE FROM ${qualified(schema, "part_config")} WHERE parent_table = $1`,
} as const;

export interface PartmanRow {
  parentTable: string;
  control: string;
  type: "native" | "range";
  interval: string;
  premake: number;
  retention: string | null;
  retentionKeepTable: boolean;
  datetimeString: string | null;
  infinite: boolean;
}

export interface HandoverReport {
  table: string;
  /** pg_partman's. */
  version: string;
  schema: string;
  /** What stands in its part_config, or would; null: taken back. */
  row: PartmanRow | null;
  /** The name of the next leaf that pg_partman makes. */
  nextLeaf: string | null;
  /** What to know, a sentence each. */
  notes: string[];
  applied: boolean;
}

const INTERVAL: Record<Interval, string> = {
  ...{ hour: "01:00:00", day: "1 day", week: "7 days", month: "1 mon", quarter: "3 mons", year: "1 year" },
};
/** As create_parent of version 4 chooses it; version 5 has two for all. */
const FORMAT_4: Record<Interval, string> = {
  ...{ hour: "YYYY_MM_DD_HH24MI", day: "YYYY_MM_DD", week: 'IYYY"w"IW', month: "YYYY_MM" },
  ...{ quarter: 'YYYY"q"Q', year: "YYYY" },
};
const format5 = (every: Interval) => (every === "hour" ? "YYYYMMDD_HH24MISS" : "YYYYMMDD");

/** Pure: the row that says to pg_partman of `major` what the policy says to Partway. */
export function partmanRow(table: CareTable, policy: Policy, major: number): PartmanRow {
  const { grid } = policy;
  if (grid === null || table.column === null)
    throw badInput(
      `${shownName(table)} is not cut by an interval that is known`,
      "Only range by time or a whole number can be handed over.",
    );
  const time = grid.kind === "time";
  return {
    parentTable: `${table.schema}.${table.name}`,
    control: table.column,
    type: major < 5 ? "native" : "range",
    interval: time ? INTERVAL[grid.every] : String(grid.step),
    // It refuses 0.
    premake: Math.max(1, policy.ahead),
    retention: policy.retention === null ? null : retentionText(policy.retention),
    // What is to be archived first is not destroyed either: pg_partman archives nothing.
    retentionKeepTable: policy.expired !== "drop",
    datetimeString: !time ? null : major < 5 ? FORMAT_4[grid.every] : format5(grid.every),
    infinite: time,
  };
}

function retentionText({ unit, amount }: Retention): string {
  return unit === "values" ? String(amount) : `${amount} ${unit}`;
}

/** Errors: `refused` where the two do not fit, `bad-input` for a table that is not in care. */
export async function handOver(session: Session, typed: string, apply: boolean): Promise<HandoverReport> {
  return session.tx(async () => {
    const known = await look(session, typed);
    const { table, policy, version, schema, enabled, restored } = known;
    const major = Number.parseInt(version, 10);
    const name = shellName(table);
    const row = partmanRow(table, policy, major);
    if (await isRegistered(session, schema, row.parentTable))
      throw new PartwayError("refused", {
        what: `${shownName(table)} is in ${schema}.part_config already`,
        state: "Nothing was changed.",
        next: `To take it back: partway handover ${name} --pg-partman --undo`,
      });
    if (!enabled)
      throw badInput(
        `${shownName(table)} is disabled in partway.partition_config`,
        `Enable it first: partway adopt ${name}, then UPDATE partway.partition_config SET enabled = true`,
      );
    // Before the names: a leaf is renamed for nothing where the table cannot be handed over.
    if (policy.retention !== null) await nothingKept(session, table, restored);
    const next = nextOf(table, policy);
    await fits(session, table, policy, row, major);
    if (apply) {
      await alone(session);
      await session.query(PARTMAN_SQL.insert(schema), [
        ...[row.parentTable, row.control, row.type, row.interval, row.premake, row.retention],
        ...[row.retentionKeepTable, row.datetimeString, row.infinite],
      ]);
      await session.query(PARTMAN_SQL.enabled, [table.oid, false]);
    }
    const nextLeaf = `${table.name}_p${await suffixOf(session, row, policy, next)}`;
    return {
      table: shownName(table),
      version,
      schema,
      row,
      nextLeaf,
      notes: notesOf(policy, row),
      applied: apply,
    };
  });
}

/** The row of part_config goes, and the policy counts again. Leaves that pg_partman has made stay. */
export async function takeBack(session: Session, typed: string, apply: boolean): Promise<HandoverReport> {
  return session.tx(async () => {
    const { table, version, schema } = await look(session, typed);
    const parent = `${table.schema}.${table.name}`;
    if (!(await isRegistered(session, schema, parent)))
      throw badInput(
        `${shownName(table)} is not in ${schema}.part_config`,
        `partway health ${shellName(table)} says who tends it.`,
      );
    if (apply) {
      await alone(session);
      await session.query(PARTMAN_SQL.remove(schema), [parent]);
      await session.query(PARTMAN_SQL.enabled, [table.oid, true]);
    }
    return { table: shownName(table), version, schema, row: null, nextLeaf: null, notes: [], applied: apply };
  });
}

async function look(session: Session, typed: string) {
  const Extension = z.object({ version: z.string(), schema: z.string() });
  const extension = await session.maybe(Extension, PARTMAN_SQL.extension);
  if (extension === null)
    throw new PartwayError("refused", {
      what: "pg_partman is not installed in this database",
      state: "Nothing was changed.",
      next: "A superuser: apt-get install postgresql-15-partman (the package of your server's version), then CREATE SCHEMA partman; CREATE EXTENSION pg_partman SCHEMA partman",
    });
  // readCareTable would begin a transaction of its own for a name.
  const table = await readCareTable(session, { oid: await resolveTable(session, typed) });
  const stored = (await readPolicies(session)).find(({ oid }) => oid === table.oid);
  if (stored === undefined)
    throw badInput(
      `${typed} is not in care: it has no policy to carry`,
      `Take it over first: partway adopt ${shellName(table)}`,
    );
  if (stored.wrong !== null) throw stored.wrong;
  const { migration, leaving, restored } = await readStanding(session, table.oid);
  if (migration !== null)
    throw new PartwayError("refused", {
      what: `${shownName(table)} belongs to migration ${migration}, which has not ended`,
      state: "Nothing was changed.",
      next: `partway status ${migration}`,
    });
  if (leaving.length > 0 || table.leaves.some(({ pending }) => pending))
    throw new PartwayError("refused", {
      what: `a leaf of ${shownName(table)} is on its way out`,
      state: "Nothing was changed.",
      next: `Finish it first: partway maintain ${shellName(table)} --apply`,
    });
  const policy = policyOf(shownName(table), stored.policy, table.axis, recogniseTable(table).grid);
  return { table, policy, ...extension, enabled: policy.enabled, restored };
}

/** pg_partman knows of no archives: by its retention it would take away what was brought back, and what is on its way. */
async function nothingKept(session: Session, table: CareTable, restored: ReadonlySet<string>): Promise<void> {
  const back = table.leaves.filter(({ oid }) => restored.has(oid)).map(({ name }) => name);
  const open: string[] = [];
  for (const { oid, name } of table.leaves) if ((await openArchive(session, oid)) !== null) open.push(name);
  const foreign = table.leaves.filter(({ kind }) => kind === "foreign").map(({ name }) => name);
  if (back.length === 0 && open.length === 0 && foreign.length === 0) return;
  const what = [
    ...(back.length === 0
      ? []
      : [
          `leaves were brought back from an archive or the cold, or are on their way into it: ${back.join(", ")}`,
        ]),
    ...(open.length === 0 ? [] : [`the archive of leaves is under way: ${open.join(", ")}`]),
    ...(foreign.length === 0 ? [] : [`leaves are on another server: ${foreign.join(", ")}`]),
  ].join("; ");
  throw new PartwayError("refused", {
    what: `pg_partman would take away, by the retention of ${shownName(table)}, what is not to go: ${what}`,
    state: "Nothing was changed.",
    next: [
      ...(open.length === 0 ? [] : [`finish the archive: partway maintain ${shellName(table)} --apply`]),
      ...(back.length === 0
        ? []
        : ["detach the leaves that were brought back: ALTER TABLE ... DETACH PARTITION"]),
      "or hand the table over without a retention: UPDATE partway.partition_config SET retention = NULL",
    ].join("; "),
  });
}

async function alone(session: Session): Promise<void> {
  if ((await session.one(Present, PARTMAN_SQL.alone)).present === "true") return;
  throw new PartwayError("refused", {
    what: "a partway maintain is at work in this database",
    state: "Nothing was changed; it goes on.",
    next: "Wait for it, then the same command again.",
  });
}

async function isRegistered(session: Session, schema: string, parent: string): Promise<boolean> {
  return (await session.one(Present, PARTMAN_SQL.registered(schema), [parent])).present === "true";
}

/** Where the next leaf begins: pg_partman goes on from the newest one, which must be a whole interval. */
function nextOf(table: CareTable, { grid }: Policy): bigint {
  const newest = table.leaves.findLast(({ range }) => range !== null);
  const range = newest?.range ?? null;
  if (grid === null || range === null || !standsOn(grid, range) || range.from === null)
    throw new PartwayError("refused", {
      what: `pg_partman goes on from the newest leaf, and ${newest === undefined ? "there is none" : `${newest.name} is not one whole interval`}`,
      state: "Nothing was changed.",
      next: `partway maintain ${shellName(table)}, or make the newest leaf whole; then the same command again.`,
    });
  return startAt(grid, indexOf(grid, range.from.low) + 1n);
}

async function suffixOf(session: Session, row: PartmanRow, { grid }: Policy, at: bigint): Promise<string> {
  if (row.datetimeString === null || grid?.kind !== "time") return String(at);
  const instant = textOf({ kind: "time", type: "timestamp" }, at);
  const Suffix = z.object({ suffix: z.string() });
  return (await session.one(Suffix, PARTMAN_SQL.suffix, [instant, row.datetimeString])).suffix;
}

/** Version 4 reads the order of the leaves from their names; with others' it takes any of them for the newest. */
async function fits(
  session: Session,
  table: CareTable,
  policy: Policy,
  row: PartmanRow,
  major: number,
): Promise<void> {
  if (table.schema.includes(".") || table.name.includes("."))
    throw badInput(
      `${shownName(table)} has a dot in its name, which pg_partman cannot have`,
      "Rename it, or keep it in Partway's care.",
    );
  if (major >= 5) return;
  const renames: string[] = [];
  for (const { schema, name, range } of table.leaves) {
    if (range?.from == null) continue;
    const wanted = `${table.name}_p${await suffixOf(session, row, policy, range.from.low)}`;
    const suffix = wanted.slice(wanted.lastIndexOf("_p"));
    if (!name.endsWith(suffix))
      renames.push(`ALTER TABLE ${qualified(schema, name)} RENAME TO ${ident(wanted)}`);
  }
  if (renames.length === 0) return;
  throw new PartwayError("refused", {
    what: `pg_partman 4 finds the newest leaf by its name, and ${renames.length} of ${shownName(table)} are not named as it names them`,
    state: "Nothing was changed.",
    next: `Rename them (each locks its leaf for a moment), then the same command again: ${renames.join("; ")}`,
  });
}

function notesOf({ ahead, grid, expired, retention }: Policy, row: PartmanRow): string[] {
  return [
    ...(grid?.kind === "time"
      ? [
          "its maintenance must run with TimeZone UTC, or bounds move with the clock's changes: " +
            `ALTER ROLE ... SET TimeZone = ${literal("UTC")}`,
        ]
      : []),
    ...(ahead === 0 ? ["ahead is 0, and pg_partman makes at least 1"] : []),
    ...(retention !== null && expired === "drop"
      ? ["expired leaves are dropped in the transaction that locks the table: no CONCURRENTLY there"]
      : []),
    ...(retention !== null && expired === "archive"
      ? ["expired leaves are detached and stay as tables: nothing is archived any more"]
      : []),
    ...(row.infinite ? ["late in an interval it makes one leaf more than premake"] : []),
    "new leaves take indexes and rights from the table, not options, tablespace or statistics targets from the newest leaf",
  ];
}

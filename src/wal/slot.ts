/**
 * Capture from the write-ahead log: a publication of the source alone, a permanent logical slot of pgoutput, and in
 * schema partway how far the log was read. The slot keeps WAL for as long as it stands, also while nobody reads it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { PartwayError } from "../errors.js";
import { ident, identList, literal, qualified } from "../pg/quote.js";
import { APPLICATION_NAME, type Session } from "../pg/session.js";
import type { Plan, Statement } from "../plan/types.js";
import { pairColumns, sidesOf } from "../sync/pairs.js";
import { identityColumns } from "./identity.js";

/** Slot and publication have one name, unquoted; `position` is the table, quoted and qualified. */
export function walNames(plan: Pick<Plan, "id">): { slot: string; position: string } {
  return { slot: `partway_wal_${plan.id}`, position: qualified("partway", `wal_${plan.id}`) };
}

/** Column lists in publications: PostgreSQL 15. */
const COLUMN_LISTS = 150_000;

/** Only the columns of pair and identity leave the server, where the server can be told so. */
function published(plan: Plan): string {
  const { live } = sidesOf(plan, "forward");
  const { source } = plan;
  if (source.serverVersion < COLUMN_LISTS || source.replicaIdentity === "f") return live;
  const names = new Set([...pairColumns(plan).map((c) => c.name), ...identityColumns(source)]);
  return `${live} (${identList([...names])})`;
}

/** The publication comes first: the slot reads the catalog as it was when a change was made. */
export function publicationSql(plan: Plan): string {
  return `CREATE PUBLICATION ${ident(walNames(plan).slot)} FOR TABLE ${published(plan)}
  WITH (publish = 'insert, update, delete, truncate')`;
}

/** Where the reading stands: everything that was committed before `lsn` is in the change log. */
export function positionDdl(plan: Plan): string {
  return `CREATE TABLE ${walNames(plan).position} (lsn pg_lsn NOT NULL, publication text NOT NULL, touched bigint NOT NULL DEFAULT 0)`;
}

const SQL = {
  create: /*sql*/ `
SELECT lsn::text AS lsn FROM pg_create_logical_replication_slot($1, 'pgoutput')`,
  enter: (position: string) => /*sql*/ `INSERT INTO ${position} (lsn, publication) VALUES ($1::pg_lsn, $2)`,
  /** Another oid or xmin: somebody altered it, or made it again. */
  mark: /*sql*/ `
SELECT concat_ws(' ', p.oid, p.xmin, r.oid, r.xmin) AS mark
  FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid WHERE p.pubname = $1 AND r.prrelid = $2::oid`,
  slot: /*sql*/ `
SELECT (s.database = current_database() AND s.plugin = 'pgoutput')::text AS ours, s.database, s.plugin, coalesce(s.wal_status, 'reserved') AS status,
       s.confirmed_flush_lsn::text AS confirmed,
       pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::text AS retained,
       pg_size_bytes(current_setting('max_slot_wal_keep_size'))::text AS kept
  FROM pg_replication_slots AS s WHERE s.slot_name = $1`,
  reader: /*sql*/ `
SELECT s.active_pid::text AS pid, (a.application_name = $2 AND a.usename = current_user)::text AS ours
  FROM pg_replication_slots AS s LEFT JOIN pg_stat_activity AS a ON a.pid = s.active_pid
 WHERE s.slot_name = $1 AND s.active_pid IS NOT NULL`,
  position: (position: string, confirmed: string) => /*sql*/ `
SELECT lsn::text AS lsn, publication, (${confirmed}::pg_lsn <= lsn)::text AS followed FROM ${position}`,
  exists: /*sql*/ `SELECT (to_regclass($1) IS NOT NULL)::text AS yes`,
  published: /*sql*/ `SELECT FROM pg_publication WHERE pubname = $1`,
  drop: /*sql*/ `SELECT pg_drop_replication_slot($1)`,
  /** Of those that write, the ones that began before. */
  running: /*sql*/ `SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS oldest, pg_snapshot_xmax(pg_current_snapshot())::text AS next`,
} as const;

const bool = z.enum(["true", "false"]).transform((value) => value === "true");
const SlotRow = z.object({
  ours: bool,
  database: z.string().nullable(),
  plugin: z.string().nullable(),
  status: z.string(),
  confirmed: z.string().nullable(),
  retained: z.coerce.number().nullable(),
  kept: z.coerce.number(),
});

/** The statements that `plan` shows, in their order. */
export function walStatements(plan: Plan): Statement[] {
  const { slot } = walNames(plan);
  return [
    { sql: positionDdl(plan) },
    { sql: publicationSql(plan), note: "of the source alone, keys where the server can leave the rest out" },
    {
      sql: SQL.create.trim().replace("$1", literal(slot)),
      note: "waits for transactions that have written; from here on WAL is kept until it is read",
    },
  ];
}

/** A slot as the server has it. Bytes; `keptBytes`: max_slot_wal_keep_size, null when it has no bound. */
export interface SlotStatus {
  name: string;
  /** pg_replication_slots.wal_status: reserved, extended, unreserved or lost. */
  status: string;
  retainedBytes: number;
  keptBytes: number | null;
}

/** How much WAL a slot keeps, and how much it may. */
export function keeps(slot: SlotStatus): string {
  const gb = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  const bound =
    slot.keptBytes === null
      ? "max_slot_wal_keep_size is -1: it has no bound but the disk"
      : `beyond ${gb(slot.keptBytes)} (max_slot_wal_keep_size) the server gives the slot up, and the copy begins again`;
  return `the replication slot ${slot.name} keeps ${gb(slot.retainedBytes)} of WAL; ${bound}`;
}

/** The migration's slot; null: there is none. */
export async function slotStatus(
  session: Pick<Session, "maybe">,
  plan: Pick<Plan, "id">,
): Promise<SlotStatus | null> {
  const { slot } = walNames(plan);
  const found = await session.maybe(SlotRow, SQL.slot, [slot]);
  if (found === null || !found.ours) return null;
  return {
    name: slot,
    status: found.status,
    retainedBytes: found.retained ?? 0,
    keptBytes: found.kept < 0 ? null : found.kept,
  };
}

/** Changes may have passed the change log by: the copy has to begin again. */
export class CaptureLost extends Error {}

/**
 * Why the change log may lack something; null: nothing passed it by. Errors: `refused` when the name is another
 * database's, whose slot is not to be touched.
 */
export async function whyLost(session: Session, plan: Plan): Promise<string | null> {
  const { slot, position } = walNames(plan);
  const found = await session.maybe(SlotRow, SQL.slot, [slot]);
  if (found !== null && !found.ours) throw foreign(plan, found);
  if (found === null || found.confirmed === null)
    return `the replication slot ${slot} is gone (dropped, or this server was a standby)`;
  if (found.status === "lost")
    return `the server gave up the replication slot ${slot}: it would have had to keep more WAL than max_slot_wal_keep_size allows, or the slot was idle for too long`;
  const { yes } = await session.one(z.object({ yes: bool }), SQL.exists, [position]);
  const mark = await session.maybe(z.object({ mark: z.string() }), SQL.mark, [slot, plan.source.oid]);
  const at = yes
    ? await session.maybe(
        z.object({ lsn: z.string(), publication: z.string(), followed: bool }),
        SQL.position(position, literal(found.confirmed)),
      )
    : null;
  if (at === null) return "how far the write-ahead log was read is not known";
  if (!at.followed) return `somebody else has read from the replication slot ${slot}`;
  if (mark?.mark !== at.publication) return `the publication ${slot} was altered or dropped`;
  return null;
}

/** Slot names are the server's: a database that was copied with a migration in it has another one's. */
function foreign(plan: Plan, { database, plugin }: z.output<typeof SlotRow>): PartwayError {
  const { slot } = walNames(plan);
  const whose =
    database === null
      ? "a physical one"
      : `database ${database} has it${plugin === "pgoutput" ? "" : `, for ${plugin}`}`;
  return new PartwayError("refused", {
    what: `the replication slot ${slot} is not this migration's: ${whose}, and a server has a name once`,
    state:
      "Nothing is lost, and nothing was thrown away. If this database was copied from that one, the migration there goes on.",
    next: `partway abort ${plan.id}, then plan again: the next migration's slot has another name. Or, if nobody needs it there: SELECT pg_drop_replication_slot(${literal(slot)}) in that database, then partway resume ${plan.id}`,
  });
}

/** Makes the slot, and notes where it begins. The publication and the table of the position are there. */
export async function makeSlot(session: Session, plan: Plan): Promise<{ lsn: string; mark: string }> {
  const { slot } = walNames(plan);
  const { lsn } = await session.one(z.object({ lsn: z.string() }), SQL.create, [slot]);
  const { mark } = await session.one(z.object({ mark: z.string() }), SQL.mark, [slot, plan.source.oid]);
  return { lsn, mark };
}

/** Inside the caller's transaction. */
export async function enterPosition(
  session: Session,
  plan: Plan,
  { lsn, mark }: { lsn: string; mark: string },
): Promise<void> {
  await session.query(SQL.enter(walNames(plan).position), [lsn, mark]);
}

/**
 * `next` is beyond every transaction that has ended, not beyond those that run. Every one that had a number when the
 * position was entered has a lower one than that transaction, which has ended: all of them when `oldest` reaches `next`.
 */
export async function writing(session: Session): Promise<{ oldest: bigint; next: bigint }> {
  const Row = z.object({ oldest: z.coerce.bigint(), next: z.coerce.bigint() });
  return session.one(Row, SQL.running);
}

/** What of it is there. */
async function there(session: Session, plan: Plan) {
  const { slot, position } = walNames(plan);
  const found = await session.maybe(SlotRow, SQL.slot, [slot]);
  const publication = (await session.query(SQL.published, [slot])).rows.length > 0;
  const { yes } = await session.one(z.object({ yes: bool }), SQL.exists, [position]);
  return { slot: found?.ours === true ? found : null, publication, position: yes };
}

/**
 * Takes slot, publication and position away, what of them is there. `tx`: a transaction that only the current
 * orchestrator can commit. Errors: `refused` when another process reads from the slot.
 */
export async function removeWal(
  session: Session,
  plan: Plan,
  tx: (work: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const found = await there(session, plan);
  const { slot, position } = walNames(plan);
  if (found.slot === null && !found.publication && !found.position) return;
  await untilUnread(session, plan);
  await tx(async () => {
    await session.query(`DROP PUBLICATION IF EXISTS ${ident(slot)}`);
    await session.query(`DROP TABLE IF EXISTS ${position}`);
    if (found.slot !== null) await session.query(SQL.drop, [slot]);
  });
}

/** The backend that reads from the slot at this moment; null: none does. */
export async function readerOf(
  session: Session,
  plan: Plan,
): Promise<{ pid: string; isOurs: boolean } | null> {
  const Row = z.object({ pid: z.string(), ours: z.string().nullable() });
  const found = await session.maybe(Row, SQL.reader, [walNames(plan).slot, APPLICATION_NAME]);
  return found === null ? null : { pid: found.pid, isOurs: found.ours === "true" };
}

/** A reader of Partway's own may be on its way out, and is waited for: ten seconds. */
async function untilUnread(session: Session, plan: Plan): Promise<void> {
  for (let tries = 1; ; tries++) {
    const reader = await readerOf(session, plan);
    if (reader === null) return;
    if (!reader.isOurs || tries >= 100) throw inUse(plan, reader.pid);
    await sleep(100);
  }
}

/** The slot can be read by one session at a time. */
export function inUse(plan: Plan, pid: string | null): PartwayError {
  const { slot } = walNames(plan);
  return new PartwayError("refused", {
    what: `another session${pid === null ? "" : ` (backend ${pid})`} reads from the replication slot ${slot}`,
    state: "Nothing is lost; the run can be resumed.",
    next: `partway resume ${plan.id}, once that session has ended (SELECT active_pid FROM pg_replication_slots)`,
  });
}

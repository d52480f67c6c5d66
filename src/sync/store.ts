/**
 * What Partway keeps in the target database, schema `partway`: the migration row (epoch, phase, deadline) and the
 * ledger. Where it and the journal disagree about data, this is right (DESIGN 4).
 */
import { z } from "zod";
import { PartwayError } from "../errors.js";
import type { Session } from "../pg/session.js";
import type { Plan, Refusal } from "../plan/types.js";

/**
 * The next phase to do, as the database knows it: each phase writes its successor when its work is committed. `retain`
 * is written by the cutover's own transaction, `rolled-back` by rollback's; `drop` and `abort` before anything is taken
 * away, so that nobody goes forward on what is half gone, whatever became of the journal.
 */
export const StorePhase = z.enum([
  "shadow",
  "copy",
  "index",
  "validate",
  "cutover",
  "retain",
  "rolled-back",
  "drop",
  "abort",
]);
export type StorePhase = z.infer<typeof StorePhase>;

export const STORE_SQL = {
  /** CREATE SCHEMA IF NOT EXISTS asks for CREATE on the database even when the schema is there: look first. */
  schemaExists: /*sql*/ `SELECT (to_regnamespace('partway') IS NOT NULL)::text AS present`,
  /** Two that begin at the same moment would both find no schema, and both make it. */
  oneMaker: /*sql*/ `SELECT pg_advisory_xact_lock(hashtext('partway'), 0)`,
  makeSchema: /*sql*/ `CREATE SCHEMA partway; COMMENT ON SCHEMA partway IS 'made by partway'`,
  make: /*sql*/ `
CREATE TABLE IF NOT EXISTS partway.migration (
  id text PRIMARY KEY,
  epoch bigint NOT NULL DEFAULT 1,
  phase text NOT NULL,
  generation integer NOT NULL DEFAULT 1,
  source_oid oid NOT NULL UNIQUE,
  shadow_oid oid,
  plan text NOT NULL,
  blocks bigint,
  batch_blocks bigint,
  filenode oid,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  validated_at timestamptz,
  cutover_at timestamptz,
  deadline timestamptz,
  fingerprint text);
CREATE TABLE IF NOT EXISTS partway.ledger (
  migration text NOT NULL REFERENCES partway.migration (id),
  generation integer NOT NULL,
  batch integer NOT NULL,
  from_block bigint NOT NULL,
  to_block bigint NOT NULL,
  rows bigint NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (migration, generation, batch))`,
  exists: /*sql*/ `SELECT (to_regclass('partway.migration') IS NOT NULL)::text AS present`,
  insert: /*sql*/ `
INSERT INTO partway.migration (id, phase, source_oid, plan) VALUES ($1, 'shadow', $2::oid, $3)`,
  other: /*sql*/ `SELECT id FROM partway.migration WHERE source_oid = $1::oid AND id <> $2`,
  read: /*sql*/ `
SELECT id, epoch::text AS epoch, phase, generation::text AS generation, source_oid::text AS source_oid,
       shadow_oid::text AS shadow_oid, blocks::text AS blocks, batch_blocks::text AS batch_blocks, filenode::text AS filenode,
       (validated_at IS NOT NULL)::text AS validated, plan, fingerprint,
       to_char(cutover_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS cutover_at,
       to_char(deadline AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS deadline,
       ceil(extract(epoch FROM deadline - clock_timestamp()))::text AS seconds_left
  FROM partway.migration WHERE id = $1`,
  ids: /*sql*/ `SELECT id FROM partway.migration ORDER BY created_at DESC`,
  setPhase: /*sql*/ `UPDATE partway.migration SET phase = $2 WHERE id = $1`,
  /** $2: whether the operator has typed the table's name. No row: the window is open. */
  beginDrop: /*sql*/ `
UPDATE partway.migration SET phase = 'drop'
 WHERE id = $1 AND (phase = 'drop' OR $2::boolean OR deadline <= clock_timestamp()) RETURNING id`,
  /** $2 seconds more. No row: it is not in its window. */
  extend: /*sql*/ `
UPDATE partway.migration SET deadline = greatest(deadline, clock_timestamp()) + make_interval(secs => $2::double precision)
 WHERE id = $1 AND phase = 'retain'
RETURNING to_char(deadline AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS deadline,
          ceil(extract(epoch FROM deadline - clock_timestamp()))::text AS seconds_left`,
  setShadow: /*sql*/ `UPDATE partway.migration SET shadow_oid = $2::regclass::oid WHERE id = $1`,
  setValidated: /*sql*/ `UPDATE partway.migration SET validated_at = clock_timestamp(), filenode = $2::oid WHERE id = $1`,
  setUnvalidated: /*sql*/ `UPDATE partway.migration SET validated_at = NULL, phase = 'validate' WHERE id = $1`,
  setFingerprint: /*sql*/ `UPDATE partway.migration SET fingerprint = $2 WHERE id = $1`,
  removeLedger: /*sql*/ `DELETE FROM partway.ledger WHERE migration = $1`,
  remove: /*sql*/ `DELETE FROM partway.migration WHERE id = $1`,
  lockTable: /*sql*/ `LOCK TABLE partway.migration IN ACCESS EXCLUSIVE MODE`,
  dropTables: /*sql*/ `DROP TABLE partway.ledger, partway.migration`,
  /** The schema goes only when Partway made it (its comment says so) and nothing else lives in it. */
  keepSchema: /*sql*/ `
SELECT (coalesce(obj_description(to_regnamespace('partway')::oid, 'pg_namespace') <> 'made by partway', true)
     OR EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'partway')
     OR EXISTS (SELECT 1 FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'partway'))::text
     AS keep`,
  dropSchema: /*sql*/ `DROP SCHEMA partway`,
} as const;

const bool = z.enum(["true", "false"]).transform((v) => v === "true");
const MigrationRow = z
  .object({
    id: z.string(),
    epoch: z.string(),
    phase: StorePhase,
    generation: z.coerce.number(),
    source_oid: z.string(),
    shadow_oid: z.string().nullable(),
    blocks: z.string().nullable(),
    batch_blocks: z.string().nullable(),
    filenode: z.string().nullable(),
    validated: bool,
    plan: z.string(),
    fingerprint: z.string().nullable(),
    cutover_at: z.string().nullable(),
    deadline: z.string().nullable(),
    seconds_left: z.string().nullable(),
  })
  .transform((r) => ({
    id: r.id,
    epoch: r.epoch,
    phase: r.phase,
    generation: r.generation,
    sourceOid: r.source_oid,
    shadowOid: r.shadow_oid,
    blocks: r.blocks === null ? null : Number(r.blocks),
    batchBlocks: r.batch_blocks === null ? null : Number(r.batch_blocks),
    /** The source's file when the copy began, and since validation when that began. */
    filenode: r.filenode,
    validated: r.validated,
    planJson: r.plan,
    /** The new table's definition as it was right after cutover, JSON. */
    fingerprintJson: r.fingerprint,
    cutoverAt: r.cutover_at,
    deadline: r.deadline,
    secondsLeft: r.seconds_left === null ? null : Number(r.seconds_left),
  }));
/** The migration's row in the database. Times are the database's, ISO 8601. */
export type StoredMigration = z.output<typeof MigrationRow>;

/** Is there a `partway.migration` table at all? */
export async function storeExists(session: Session): Promise<boolean> {
  return (await session.one(z.object({ present: bool }), STORE_SQL.exists)).present;
}

/** The migration's row, or null when the database knows nothing of it. */
export async function readStored(session: Session, id: string): Promise<StoredMigration | null> {
  if (!(await storeExists(session))) return null;
  return session.maybe(MigrationRow, STORE_SQL.read, [id]);
}

/** The migration's row; its absence is an error with the operator's remedy. */
export async function mustReadStored(session: Session, id: string): Promise<StoredMigration> {
  const row = await readStored(session, id);
  if (row !== null) return row;
  throw new PartwayError("unexpected", {
    what: `this database has no record of migration ${id}`,
    state:
      "Nothing was written. Either it ended (rolled back, aborted, finalized), or this is another database.",
    next: "Check --url; partway list shows where each migration ran.",
  });
}

/** Makes the schema and the migration's row; does nothing when the row is there. Refuses a second migration of a table. */
export async function makeStored(session: Session, plan: Plan): Promise<void> {
  await session.tx(async () => {
    await session.query(STORE_SQL.oneMaker);
    const { present } = await session.one(z.object({ present: bool }), STORE_SQL.schemaExists);
    if (!present) await session.query(STORE_SQL.makeSchema);
    await session.query(STORE_SQL.make);
    const other = await session.maybe(z.object({ id: z.string() }), STORE_SQL.other, [
      plan.source.oid,
      plan.id,
    ]);
    if (other !== null) {
      throw new PartwayError("refused", {
        what: `${plan.names.schema}.${plan.names.source} already belongs to migration ${other.id}`,
        state: "Nothing was touched.",
        next: elsewhere(other.id),
      });
    }
    if ((await session.maybe(MigrationRow, STORE_SQL.read, [plan.id])) === null) {
      await session.query(STORE_SQL.insert, [plan.id, plan.source.oid, JSON.stringify(plan)]);
    }
  });
}

function elsewhere(id: string): string {
  return `partway resume ${id}, or partway abort ${id}, with the state directory it was started in; if that is lost: partway recover ${id}`;
}

/** Removes the migration's rows, and the schema once nothing else is in it. Runs inside the caller's transaction. */
export async function removeStored(session: Session, id: string): Promise<void> {
  await session.query(STORE_SQL.removeLedger, [id]);
  await session.query(STORE_SQL.remove, [id]);
  const rest = await session.query(STORE_SQL.ids);
  if (rest.rows.length > 0) return;
  // Another table's migration may begin just now: waits for it, and looks again.
  await session.query(STORE_SQL.lockTable);
  if ((await session.query(STORE_SQL.ids)).rows.length > 0) return;
  await session.query(STORE_SQL.dropTables);
  const { keep } = await session.one(z.object({ keep: bool }), STORE_SQL.keepSchema);
  if (!keep) await session.query(STORE_SQL.dropSchema);
}

/** A refusal when the table `oid` already belongs to a migration. */
export async function otherMigration(session: Session, oid: string): Promise<Refusal[]> {
  if (!(await storeExists(session))) return [];
  const other = await session.maybe(z.object({ id: z.string() }), STORE_SQL.other, [oid, ""]);
  if (other === null) return [];
  return [
    {
      code: "already-migrating",
      what: `the table already belongs to migration ${other.id}`,
      why: "one table can have one migration at a time",
      remedy: elsewhere(other.id),
    },
  ];
}

/**
 * Dedupe, then indexes (DESIGN 3.3). A row updated during the copy may have been copied twice; every such pair is in
 * the change log, so every logged pair is deleted from the shadow once, and unique indexes can be built. Builds run
 * per leaf on several connections, unique first; the parent's index is made ON ONLY and each leaf's attached to it.
 * Ends with statistics, the reverse capture (nobody uses the shadow yet), and the first catch-up.
 */
import { z } from "zod";
import { readMeans } from "../catalog/means.js";
import { PartwayError } from "../errors.js";
import { ident, literal, qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { buildMeans } from "../plan/means.js";
import { leafIndexName } from "../plan/names.js";
import type { IndexPlan, Plan, Statement } from "../plan/types.js";
import { captureStands, leafTriggerDdl, logDdl, triggerDdl } from "../sync/capture.js";
import { catchUp } from "../sync/catchup.js";
import { dedupeLeafSql, loggedPairs } from "../sync/dedupe.js";
import { assertCaptured, assertNoDrift } from "../sync/guard.js";
import { type LeafRow, leavesOf } from "../sync/leaves.js";
import { markSql, REPEATABLE, sidesOf } from "../sync/pairs.js";
import { runPool } from "../sync/pool.js";
import { removeReverseCapture } from "../sync/remove.js";
import { restartCopy } from "../sync/reset.js";
import { mustReadStored, STORE_SQL } from "../sync/store.js";
import { tellLeaves } from "../sync/tell-leaves.js";
import { alongside } from "../wal/alongside.js";
import { BuildProgress, watchBuilds } from "./index-progress.js";
import type { Phase, PhaseContext } from "./phase.js";

/** One leaf's index: the same statement that `plan` prints. `leaf` is quoted and qualified. */
export function leafIndexSql(index: IndexPlan, leaf: string, name: string): string {
  return index.build.kind === "constraint"
    ? `ALTER TABLE ${leaf} ADD CONSTRAINT ${ident(name)} ${index.build.definition}`
    : `CREATE ${index.unique ? "UNIQUE " : ""}INDEX ${ident(name)} ON ${leaf}${index.build.tail}`;
}

/** The parent's index, of no storage: valid once every leaf's index is attached. */
export function parentIndexSql(plan: Plan, index: IndexPlan): string {
  const shadow = qualified(plan.names.schema, plan.names.shadow);
  return index.build.kind === "constraint"
    ? `ALTER TABLE ONLY ${shadow} ADD CONSTRAINT ${ident(index.shadowName)} ${index.build.definition}`
    : `CREATE ${index.unique ? "UNIQUE " : ""}INDEX ${ident(index.shadowName)} ON ONLY ${shadow}${index.build.tail}`;
}

function attachSql(plan: Plan, index: IndexPlan, leafIndex: string): string {
  const { schema } = plan.names;
  return `ALTER INDEX ${qualified(schema, index.shadowName)} ATTACH PARTITION ${qualified(schema, leafIndex)}`;
}

function sql(plan: Plan): Statement[] {
  const { schema } = plan.names;
  const shadow = qualified(schema, plan.names.shadow);
  const first = plan.leaves[0];
  const leafName = first?.name ?? "leaf";
  const leaf = qualified(schema, leafName);
  return [
    {
      sql: dedupeLeafSql(plan, leaf, "<the leaf's constraint>"),
      note: "dedupe, once for each leaf that has logged pairs",
    },
    ...(plan.means === undefined
      ? []
      : [
          {
            sql: BUILD_MEANS_SQL.trim(),
            note: `once for each connection, by the server as it is then; now ${plan.means.buildWhy}`,
          },
        ]),
    ...plan.indexes.flatMap((index) => {
      const name = leafIndexName({ name: leafName }, index);
      return [
        {
          sql: leafIndexSql(index, leaf, name),
          note: `once for each of ${plan.leaves.length} leaves, in parallel`,
        },
        { sql: parentIndexSql(plan, index) },
        { sql: attachSql(plan, index, name), note: "once for each leaf" },
      ];
    }),
    ...identityByIndex(plan, shadow, first === undefined ? [] : [{ name: leafName, table: leaf }]),
    { sql: statisticsSql(plan, shadow).parent },
    {
      sql: statisticsSql(plan, shadow).leaf(leaf),
      note: `once for each of ${plan.leaves.length} leaves, in parallel`,
    },
    ...logDdl(plan, "reverse"),
    ...triggerDdl(plan, "reverse", shadow),
    ...leafTriggerDdl(plan, leaf).map((s) => ({
      ...s,
      note: "once for each leaf: truncating a leaf does not fire the parent's",
    })),
  ];
}

const LEAF_INDEXES_SQL = /*sql*/ `
SELECT i.indrelid::text AS leaf, c.relname AS name, (i.indisvalid AND i.indisready)::text AS valid,
       (SELECT p.relname FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent WHERE h.inhrelid = i.indexrelid) AS parent
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE i.indrelid = $1::oid OR i.indrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = $1::oid)`;

const truth = z.enum(["true", "false"]).transform((v) => v === "true");
const LeafIndex = z.object({
  leaf: z.string(),
  name: z.string(),
  valid: truth,
  parent: z.string().nullable(),
});

interface Existing {
  /** By `<relation oid>/<index name>`. */
  byName: Map<string, z.infer<typeof LeafIndex>>;
  /** `<leaf oid>/<parent index name>`: a leaf made late has its indexes from the parent, under names of the server's. */
  attached: Set<string>;
}

async function existingIndexes(session: Session, shadowOid: string): Promise<Existing> {
  const rows = await session.rows(LeafIndex, LEAF_INDEXES_SQL, [shadowOid]);
  return {
    byName: new Map(rows.map((row) => [`${row.leaf}/${row.name}`, row])),
    attached: new Set(rows.filter((row) => row.parent !== null).map((row) => `${row.leaf}/${row.parent}`)),
  };
}

/** $1: kB and all; $2: a number. For the connection, which ends with the phase. */
const BUILD_MEANS_SQL = /*sql*/ `
SELECT set_config('maintenance_work_mem', $1, false), set_config('max_parallel_maintenance_workers', $2, false)`;

/** Gives the connections that build what the server's settings allow each of them now. */
async function equip(context: PhaseContext, sessions: readonly Session[]): Promise<void> {
  const [session] = sessions;
  if (session === undefined) return;
  const build = buildMeans(await readMeans(session), sessions.length);
  for (const worker of sessions)
    await worker.query(BUILD_MEANS_SQL, [`${build.memoryKb}kB`, String(build.parallel)]);
  context.record.measurement({ name: "build-memory-kb", value: build.memoryKb });
  context.record.measurement({ name: "build-parallel-workers", value: build.parallel });
}

async function dedupe(
  context: PhaseContext,
  sessions: Session[],
  leaves: LeafRow[],
  progress: BuildProgress,
): Promise<void> {
  const { plan, lease } = context;
  const { log } = sidesOf(plan, "forward");
  const [session] = sessions;
  if (session === undefined) return;
  progress.step("removing rows that were copied twice");
  await session.query(`ANALYZE ${log}`);
  await runPool(sessions, [...leaves.entries()], context.heavy, async (worker, [at, leaf]) => {
    progress.visit(worker.pid, at, leaf.name);
    const some = await worker.query(`SELECT FROM ${loggedPairs(plan)} WHERE ${leaf.constraint} LIMIT 1`);
    if (some.rows.length > 0) {
      await lease.tx(worker, async () => {
        await worker.query(markSql(plan));
        await worker.query(dedupeLeafSql(plan, leaf.table, leaf.constraint));
      });
    }
    progress.visit(worker.pid, null, "");
  });
}

async function buildLeafIndexes(
  context: PhaseContext,
  sessions: Session[],
  shadowOid: string,
  leaves: LeafRow[],
  progress: BuildProgress,
) {
  const { plan, lease } = context;
  const [session] = sessions;
  if (session === undefined) return;
  const existing = await existingIndexes(session, shadowOid);
  const unique = [...plan.indexes].sort((a, b) => Number(b.unique) - Number(a.unique));
  const tasks = unique.flatMap((index) =>
    leaves.map((leaf, at) => ({ index, leaf, at, name: leafIndexName(leaf, index) })),
  );
  progress.step("building indexes");
  const watching = watchBuilds(await context.open(), sessions, progress);
  try {
    await runPool(sessions, tasks, context.heavy, async (worker, { index, leaf, at, name }) => {
      const found = existing.byName.get(`${leaf.oid}/${name}`);
      const missing = found?.valid !== true && !existing.attached.has(`${leaf.oid}/${index.shadowName}`);
      if (missing) {
        const from = performance.now();
        progress.begin(worker.pid, at, name);
        await lease.tx(worker, async () => {
          await worker.query(REPEATABLE);
          if (found !== undefined) await dropHalfBuilt(worker, plan, leaf.table, name);
          await worker.query(leafIndexSql(index, leaf.table, name));
        });
        context.record.indexBuilt({ leaf: leaf.name, index: name, ms: performance.now() - from });
      }
      progress.built(worker.pid, at, !missing);
    });
  } finally {
    await watching.stop();
  }
}

/** An invalid or half-built index found on resume is dropped and rebuilt. */
async function dropHalfBuilt(session: Session, plan: Plan, leaf: string, name: string): Promise<void> {
  // An index under a constraint's name may have no constraint (CREATE UNIQUE INDEX CONCURRENTLY that was cancelled).
  await session.query(`ALTER TABLE ${leaf} DROP CONSTRAINT IF EXISTS ${ident(name)}`);
  await session.query(`DROP INDEX IF EXISTS ${qualified(plan.names.schema, name)}`);
}

async function attachAll(
  context: PhaseContext,
  session: Session,
  shadowOid: string,
  leaves: LeafRow[],
): Promise<void> {
  const { plan, lease } = context;
  const existing = await existingIndexes(session, shadowOid);
  let workedMs = 0;
  for (const index of plan.indexes) {
    await context.heavy(workedMs);
    const from = performance.now();
    await lease.tx(session, async () => {
      if (!existing.byName.has(`${shadowOid}/${index.shadowName}`))
        await session.query(parentIndexSql(plan, index));
      for (const leaf of leaves) {
        const name = leafIndexName(leaf, index);
        if (!existing.attached.has(`${leaf.oid}/${index.shadowName}`))
          await session.query(attachSql(plan, index, name));
      }
      for (const text of commentsSql(plan, index)) await session.query(text);
    });
    workedMs = performance.now() - from;
  }
}

/** The comments of the parent's index and of the constraint it serves. */
function commentsSql(plan: Plan, index: IndexPlan): string[] {
  const { schema, shadow } = plan.names;
  const on = `COMMENT ON INDEX ${qualified(schema, index.shadowName)} IS`;
  const onConstraint = `COMMENT ON CONSTRAINT ${ident(index.shadowName)} ON ${qualified(schema, shadow)} IS`;
  return [
    ...(index.comment === null ? [] : [`${on} ${literal(index.comment)}`]),
    ...(index.constraintComment === undefined ? [] : [`${onConstraint} ${literal(index.constraintComment)}`]),
  ];
}

/** REPLICA IDENTITY USING INDEX, once the indexes are there: parent and leaves, which do not inherit it. */
function identityByIndex(
  plan: Plan,
  shadow: string,
  leaves: readonly Pick<LeafRow, "name" | "table">[],
): Statement[] {
  const identity = plan.indexes.find((index) => index.isReplicaIdentity === true);
  if (identity === undefined) return [];
  const by = (table: string, name: string) => ({
    sql: `ALTER TABLE ${table} REPLICA IDENTITY USING INDEX ${ident(name)}`,
  });
  return [
    by(shadow, identity.shadowName),
    ...leaves.map((leaf) => by(leaf.table, leafIndexName(leaf, identity))),
  ];
}

/** ANALYZE ONLY, which leaves the leaves out, is of this version. */
const ANALYZE_ONLY = 180_000;

/**
 * What gathers statistics, the parent's first. Before 18 an ANALYZE of the parent analyses every leaf too, on one
 * connection: the others freeze leaves meanwhile, and to analyse them there as well would do the dearest part twice.
 */
function statisticsSql({ source }: Plan, shadow: string): { parent: string; leaf: (leaf: string) => string } {
  return source.serverVersion >= ANALYZE_ONLY
    ? { parent: `ANALYZE ONLY ${shadow}`, leaf: (leaf) => `VACUUM (FREEZE, ANALYZE) ${leaf}` }
    : { parent: `ANALYZE ${shadow}`, leaf: (leaf) => `VACUUM (FREEZE) ${leaf}` };
}

/** Leaves are frozen now, so that the application's first hour is not slow; leaves and parent get statistics. */
async function statistics(
  context: PhaseContext,
  sessions: Session[],
  leaves: LeafRow[],
  progress: BuildProgress,
): Promise<void> {
  const { plan, lease } = context;
  const [session] = sessions;
  if (session === undefined) return;
  const shadow = qualified(plan.names.schema, plan.names.shadow);
  await lease.tx(session, async () => {
    for (const { sql: text } of identityByIndex(plan, shadow, leaves)) await session.query(text);
  });
  progress.step("freezing rows, gathering statistics");
  const statement = statisticsSql(plan, shadow);
  await runPool(sessions, [null, ...leaves.entries()], context.heavy, async (worker, task) => {
    // VACUUM cannot run in the transaction that checks the epoch; a process taken over sends no more than one.
    await lease.tx(worker, () => Promise.resolve());
    if (task === null) {
      await worker.query(statement.parent);
      return;
    }
    const [at, leaf] = task;
    progress.visit(worker.pid, at, leaf.name);
    await worker.query(statement.leaf(leaf.table));
    progress.finished(worker.pid, at);
  });
}

async function installReverseCapture(
  context: PhaseContext,
  session: Session,
  shadowOid: string,
): Promise<void> {
  const { plan, lease } = context;
  if (await captureStands(session, plan, "reverse", shadowOid)) return;
  const shadow = qualified(plan.names.schema, plan.names.shadow);
  await lease.tx(session, async () => {
    const leaves = await leavesOf(session, shadowOid);
    const statements = [
      ...logDdl(plan, "reverse"),
      ...triggerDdl(plan, "reverse", shadow),
      ...leaves.flatMap((leaf) => leafTriggerDdl(plan, leaf.table)),
    ];
    for (const statement of statements) await session.query(statement.sql);
  });
}

async function run(context: PhaseContext): Promise<void> {
  const { plan, lease, settings } = context;
  const session = await context.open();
  const stored = await mustReadStored(session, plan.id);
  const shadowOid = stored.shadowOid ?? (await restartCopy(session, context, "the shadow is not there"));
  await assertNoDrift(session, plan, plan.source.oid, plan.fingerprint);
  const sessions = [session];
  while (sessions.length < Math.max(1, settings.workers)) sessions.push(await context.open());
  if (stored.phase === "shadow" || stored.phase === "copy") {
    throw new PartwayError("unexpected", {
      what: "the copy is not complete, so no index may be built",
      state: "Nothing was changed.",
      next: `partway resume ${plan.id}`,
    });
  }
  await assertCaptured(session, plan);
  const leaves = await leavesOf(session, shadowOid);
  tellLeaves(context, leaves);
  const progress = new BuildProgress(context, leaves.length, plan.indexes.length);
  await alongside(context, async (gates) => {
    const beside = { ...context, ...gates };
    await dedupe(beside, sessions, leaves, progress);
    await equip(beside, sessions);
    await buildLeafIndexes(beside, sessions, shadowOid, leaves, progress);
    progress.step("attaching indexes");
    await attachAll(beside, session, shadowOid, leaves);
    await statistics(beside, sessions, leaves, progress);
  });
  progress.step("catching up with the change log");
  await installReverseCapture(context, session, shadowOid);
  await catchUp(session, context);
  await lease.tx(session, async () => {
    await session.query(STORE_SQL.setPhase, [plan.id, "validate"]);
  });
}

/** The indexes go with the shadow; what is left is the reverse capture. */
async function undo(context: PhaseContext): Promise<void> {
  const session = await context.open();
  await removeReverseCapture(context, session);
}

export const index = { name: "index", sql, run, undo } satisfies Phase;

/** First of all: a verified copy of the table outside the database (DESIGN 6). Writes nothing to the database. */
import { join } from "node:path";
import { makeBackup, removeUnfinished } from "../backup/make.js";
import { copyOutSql, lockSql, SNAPSHOT_SQL, sumSql } from "../backup/sql.js";
import { findTools, toolDirs } from "../backup/tools.js";
import type { Plan, Statement } from "../plan/types.js";
import type { Phase, PhaseContext } from "./phase.js";

/** What it reads, all in one REPEATABLE READ, READ ONLY transaction. `$1` is the server's encoding. */
function sql(plan: Plan): Statement[] {
  return [
    { sql: lockSql(plan.source), note: "in one read-only transaction; the lock first, then the snapshot" },
    { sql: SNAPSHOT_SQL },
    { sql: sumSql(plan.source), note: "row count and content hash, for the manifest" },
    {
      sql: copyOutSql(plan.source, "$1"),
      note: "the data; by pg_dump with the same snapshot where a pg_dump as new as the server is found",
    },
  ];
}

/** Makes the backup in `<backupDir>/<plan.id>`, or keeps the one that is there, complete and intact. */
async function run(context: PhaseContext): Promise<void> {
  const { plan, settings, target, signal } = context;
  if (settings.backupDir === null) {
    context.emit({ event: "log", level: "info", message: "no backup, as asked" });
    return;
  }
  await context.heavy();
  const tools = await findTools(Math.floor(plan.source.serverVersion / 10_000), await toolDirs());
  await makeBackup({
    plan,
    target,
    dir: join(settings.backupDir, plan.id),
    tools,
    signal,
    open: () => context.open(),
    emit: (event) => context.emit(event),
  });
}

/** A finished backup is the operator's and stays; what an interrupted one left is removed. */
async function undo(context: PhaseContext): Promise<void> {
  const { plan, settings } = context;
  if (settings.backupDir !== null) await removeUnfinished(join(settings.backupDir, plan.id));
}

export const backup = { name: "backup", sql, run, undo } satisfies Phase;

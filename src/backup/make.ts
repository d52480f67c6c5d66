/**
 * Makes a backup: row count, content hash and data from one snapshot, verified, then given its name, and last the
 * manifest. Whatever stops it earlier leaves a directory that does not look like a backup.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { RunEventBody } from "../../state/events.js";
import { asPartwayError, PartwayError } from "../errors.js";
import { numbered } from "../kill-switch.js";
import { ConnectionLost, type Session } from "../pg/session.js";
import type { Target } from "../pg/target.js";
import type { Plan } from "../plan/types.js";
import { writeCopy } from "./copy.js";
import { digest, errnoOf, fileFault, makePrivateDir, PARTIAL, publish } from "./files.js";
import { Manifest, readManifest, writeManifest } from "./manifest.js";
import { dumpTable } from "./pgdump.js";
import { watchFile } from "./progress.js";
import { copyOutSql, lockSql, recreateSql, SNAPSHOT_SQL, sumSql } from "./sql.js";
import { cancelledBy, stopped } from "./stop.js";
import type { Tools } from "./tools.js";
import { assertRows, assertUnchanged } from "./verify.js";

/** Version of Partway's own data format, as the manifest names it. */
const COPY_FORMAT = "1";

const FILES = { pg_dump: "data.dump", copy: "data.copy.gz" } as const;

export interface BackupRequest {
  plan: Plan;
  target: Target;
  /** Where this backup goes: `<backupDir>/<plan.id>`. */
  dir: string;
  /** null: Partway's own COPY backup. */
  tools: Tools | null;
  signal: AbortSignal;
  open(): Promise<Session>;
  emit(event: RunEventBody): void;
}

const Snapshot = z.object({
  snapshot: z.string(),
  encoding: z.string(),
  version: z.coerce.number(),
  at: z.string(),
});
const Sum = z.object({ rows: z.coerce.number().int(), hash: z.string() });

/**
 * Makes the backup, or keeps the one that is there, complete and intact. Gives its manifest.
 * Errors: bad-input (directory), refused (disk full), lock-busy, stopped, ConnectionLost, unexpected.
 */
export async function makeBackup(request: BackupRequest): Promise<Manifest> {
  const { plan, dir, signal } = request;
  try {
    const kept = await keepable(request);
    if (kept !== null) return kept;
    await makePrivateDir(dir);
    await removeUnfinished(dir);
    return await write(request);
  } catch (error) {
    await removeUnfinished(dir);
    if (signal.aborted)
      throw stopped(
        "the backup",
        "The database was only read. No backup was made; the unfinished file was removed.",
        `partway resume ${plan.id}`,
        error,
      );
    // The engine connects again and makes the backup anew.
    if (error instanceof ConnectionLost) throw error;
    throw asPartwayError(
      fileFault(error, dir),
      "The database was only read. No backup was made.",
      `partway resume ${plan.id}`,
    );
  }
}

/** Removes what an interrupted backup left in `dir`; a finished one (there is a manifest) stays as it is. */
export async function removeUnfinished(dir: string): Promise<void> {
  const names: string[] = await readdir(dir).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return [];
    throw error;
  });
  const data: readonly string[] = names.includes("manifest.json") ? [] : Object.values(FILES);
  const unfinished = [...Object.values(FILES), "manifest.json"].map((name) => name + PARTIAL);
  for (const name of names)
    if (data.includes(name) || unfinished.includes(name))
      await numbered(`file: ${name} is removed`, () => rm(join(dir, name), { force: true }));
}

/** The manifest of the backup that is there, when it is this migration's and its file is intact. */
async function keepable({ plan, dir, signal, emit }: BackupRequest): Promise<Manifest | null> {
  const manifest = await readManifest(dir);
  if (manifest === null) return null;
  const { schema, name } = plan.source;
  if (manifest.migration !== plan.id || manifest.table.schema !== schema || manifest.table.name !== name)
    throw new PartwayError("refused", {
      what: `${dir} holds a backup of ${manifest.table.schema}.${manifest.table.name} by migration ${manifest.migration}`,
      state: "Nothing was touched; that backup stays as it is.",
      next: "Move it away or give another --backup, then run the same command again.",
    });
  try {
    await assertUnchanged(dir, manifest, signal);
  } catch (error) {
    if (!(error instanceof PartwayError)) throw error;
    emit({ event: "log", level: "warn", message: `${error.message}; the backup is made again` });
    await numbered("file: manifest.json is removed", () => rm(join(dir, "manifest.json")));
    return null;
  }
  emit({
    event: "log",
    level: "info",
    message: `the backup of ${manifest.snapshotAt} in ${dir} is complete and intact`,
  });
  return manifest;
}

async function write(request: BackupRequest): Promise<Manifest> {
  const { plan, dir, tools, signal } = request;
  const method = tools === null ? "copy" : "pg_dump";
  const path = join(dir, FILES[method]);
  const session = await request.open();
  const work = () =>
    session.tx(() => readTable(request, session, path + PARTIAL), {
      isolation: "repeatable read",
      readOnly: true,
    });
  const { snapshot, sum } = await cancelledBy(signal, session, request.open, work).finally(() =>
    session.end(),
  );
  const { schema, name, columns } = plan.source;
  const about = {
    format: "partway-backup" as const,
    version: 1 as const,
    migration: plan.id,
    table: { schema, name },
    columns,
    ddl: recreateSql(plan.source),
    method,
    toolVersion: tools?.version ?? COPY_FORMAT,
  } satisfies Partial<Manifest>;
  await assertRows(about, path + PARTIAL, sum.rows, signal).catch((error: unknown) => {
    if (!(error instanceof PartwayError) || signal.aborted) throw error;
    throw new PartwayError(
      "unexpected",
      {
        what: `the backup that was just written cannot be read back: ${error.message}`,
        state: "The database was only read. No backup was made; the unusable file was removed.",
        next: `partway resume ${plan.id}`,
      },
      { cause: error },
    );
  });
  const file = await digest(path + PARTIAL, signal);
  await publish(path);
  // Parsed, so that what is written is what can be read back, and nothing more.
  const manifest = Manifest.parse({
    ...about,
    serverVersion: snapshot.version,
    encoding: snapshot.encoding,
    snapshotAt: snapshot.at,
    ...sum,
    file: FILES[method],
    ...file,
  });
  await writeManifest(dir, manifest);
  request.emit({ event: "backup", method, bytes: manifest.bytes, rows: manifest.rows, path, done: true });
  return manifest;
}

/** Inside the transaction: the lock, then the snapshot, then count, hash and data as of that snapshot. */
async function readTable(request: BackupRequest, session: Session, path: string) {
  const { plan, tools, target, emit } = request;
  const source = plan.source;
  await session.query(lockSql(source));
  const snapshot = await session.one(Snapshot, SNAPSHOT_SQL);
  const measure = () => session.one(Sum, sumSql(source));
  if (tools === null) {
    let rows = 0;
    const stop = watchFile(path, (bytes) =>
      emit({ event: "backup", method: "copy", bytes, rows, path, done: false }),
    );
    const onProgress = (sofar: { rows: number }) => {
      rows = sofar.rows;
    };
    const sql = copyOutSql(source, snapshot.encoding);
    await numbered("file: the rows are written", () =>
      writeCopy({ session, sql, path, signal: request.signal, onProgress }),
    ).finally(stop);
    return { snapshot, sum: await measure() };
  }
  // Side by side, so that the two scans of the table share what they read; when one fails the other is ended.
  const failed = new AbortController();
  const signal = AbortSignal.any([request.signal, failed.signal]);
  const stop = watchFile(path, (bytes) =>
    emit({ event: "backup", method: "pg_dump", bytes, rows: null, path, done: false }),
  );
  const dump = numbered("file: pg_dump writes the rows", () =>
    dumpTable({ tools, target, table: source, ...snapshot, path, signal }),
  );
  const both = [dump, cancelledBy(failed.signal, session, request.open, measure)] as const;
  for (const one of both) one.catch((error: unknown) => failed.abort(error));
  try {
    const [, sum] = await Promise.all(both);
    return { snapshot, sum };
  } finally {
    await Promise.allSettled(both);
    stop();
  }
}

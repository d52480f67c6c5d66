/** Backup by pg_dump: one table, custom format, inside Partway's own snapshot. */
import { badInput, PartwayError } from "../errors.js";
import { ident } from "../pg/quote.js";
import { ConnectionLost } from "../pg/session.js";
import type { Target } from "../pg/target.js";
import { diskFull } from "./files.js";
import { copyBlock, NoCopyBlock } from "./rows.js";
import { type Tools, toolEnv } from "./tools.js";

interface TableName {
  schema: string;
  name: string;
}

/**
 * How long pg_dump waits for its ACCESS SHARE lock, ms. Partway holds that lock already; but behind someone who waits
 * for ACCESS EXCLUSIVE, pg_dump would wait for him, he for Partway, and Partway for pg_dump: no deadlock the server
 * can see.
 */
const LOCK_WAIT_MS = 5_000;

/**
 * Writes the table into `path`. `snapshot` is the name of an exported snapshot whose transaction is open.
 * Errors: lock-busy, refused (disk full), ConnectionLost, unexpected with what pg_dump said.
 */
export async function dumpTable(options: {
  tools: Tools;
  target: Target;
  table: TableName;
  snapshot: string;
  encoding: string;
  path: string;
  signal: AbortSignal;
}): Promise<void> {
  const { tools, target, table, path } = options;
  const { execa } = await import("execa");
  const result = await execa(
    tools.dump,
    [
      "--format=custom",
      `--file=${path}`,
      // In a pattern, too, double quotes take away every special meaning and are doubled inside.
      `--table=${ident(table.schema)}.${ident(table.name)}`,
      "--strict-names",
      `--snapshot=${options.snapshot}`,
      `--encoding=${options.encoding}`,
      `--lock-wait-timeout=${LOCK_WAIT_MS}`,
      "--no-password",
    ],
    { env: toolEnv(target), extendEnv: false, reject: false, stdin: "ignore", cancelSignal: options.signal },
  );
  options.signal.throwIfAborted();
  if (result.failed) throw dumpFault(result.stderr || (result.shortMessage ?? ""), path);
}

/** What libpq says when the server went away under it, or is not up again yet. */
const CONNECTION_GONE =
  /server closed the connection|terminating connection|connection to server .* failed|could not receive data|SSL SYSCALL/;

function dumpFault(said: string, path: string): Error {
  if (CONNECTION_GONE.test(said)) return new ConnectionLost(new Error(`pg_dump: ${said}`));
  if (/No space left on device|Disk quota exceeded|File too large/.test(said))
    return diskFull(path, new Error(said));
  const busy = /LOCK TABLE .* IN ACCESS SHARE MODE/.test(said);
  return new PartwayError(busy ? "lock-busy" : "unexpected", {
    what: busy
      ? `pg_dump did not get its lock within ${LOCK_WAIT_MS / 1000} s: another session waits for an exclusive lock on the table`
      : `pg_dump failed: ${said}`,
    state: "The database was only read. No backup was made; the unfinished file was removed.",
    next: busy
      ? "Let the other session finish, then: partway resume"
      : "Mend what pg_dump says, then: partway resume",
  });
}

/** What `pg_restore -l` says must include the table and its data. Errors: bad-input when it does not. */
export async function assertListed(options: { tools: Tools; table: TableName; path: string }): Promise<void> {
  const { tools, table, path } = options;
  const { execa } = await import("execa");
  const listing = await execa(tools.restore, ["--list", path], {
    env: toolEnv(null),
    extendEnv: false,
    reject: false,
    stdin: "ignore",
  });
  if (listing.failed) throw unreadable(path, listing.stderr);
  // pg_restore prints names as they are, line ends as blanks: `3327; 0 16385 TABLE DATA public orders app`.
  const shown = `${table.schema} ${table.name}`.replaceAll(/[\r\n]/g, " ");
  for (const what of ["TABLE", "TABLE DATA"])
    if (!listing.stdout.includes(` ${what} ${shown} `))
      throw unreadable(path, `it does not list ${what} ${table.schema}.${table.name}`);
}

/**
 * The rows in the archive, handed to `sink` as they are read. Errors: bad-input when pg_restore cannot read it or it
 * is not whole; what `sink` throws.
 */
export async function readDump(options: {
  tools: Tools;
  table: TableName;
  columns: readonly string[];
  path: string;
  signal: AbortSignal;
  sink: (rows: AsyncIterable<Buffer>) => Promise<void>;
}): Promise<void> {
  const { tools, table, columns, path, signal } = options;
  const { execa } = await import("execa");
  const child = execa(
    tools.restore,
    ["--data-only", `--schema=${table.schema}`, `--table=${table.name}`, "--file=-", path],
    {
      env: toolEnv(null),
      extendEnv: false,
      reject: false,
      stdin: "ignore",
      buffer: { stdout: false, stderr: true },
      cancelSignal: signal,
    },
  );
  try {
    await options.sink(copyBlock(child.stdout, columns));
  } catch (error) {
    child.kill();
    const ended = await child;
    signal.throwIfAborted();
    if (error instanceof NoCopyBlock) throw unreadable(path, ended.stderr || error.message, error);
    throw error;
  }
  const ended = await child;
  if (ended.failed) throw unreadable(path, ended.stderr || (ended.shortMessage ?? ""));
}

function unreadable(path: string, why: string, cause?: unknown): PartwayError {
  return badInput(
    `${path} is not a readable pg_dump archive of this table: ${why}`,
    "Use another backup, or make a new one.",
    cause,
  );
}

/**
 * Proves a backup by restoring it: into a scratch schema, compared by count and content hash with the manifest. The
 * original table is never touched, and everything happens in one transaction, so an interrupted restore leaves nothing.
 */
import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { asPartwayError, badInput, messageOf, PartwayError } from "../errors.js";
import { ident } from "../pg/quote.js";
import { Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { describeTarget, type Target } from "../pg/target.js";
import { MANIFEST, type Manifest, readManifest } from "./manifest.js";
import { counted } from "./rows.js";
import { copyInSql, scratchTableSql, sumSql } from "./sql.js";
import { cancelledBy, stopped } from "./stop.js";
import { assertUnchanged, readRows } from "./verify.js";

export interface RestoreOptions {
  /** The directory that holds manifest.json. */
  dir: string;
  target: Target;
  /** Default: a schema `partway_restore_<migration>` that is gone afterwards. */
  into?: { schema?: string; keep: boolean };
  signal?: AbortSignal;
  /** Rows and bytes of COPY data sent so far. */
  onProgress?: (sofar: { rows: number; bytes: number }) => void;
}

export interface RestoreReport {
  rows: number;
  hash: string;
  /** Always true: a difference is an error. */
  equal: true;
  schema: string;
  /** Is the schema with the restored table still there? The table has its own name in it. */
  kept: boolean;
}

const Sum = z.object({ rows: z.coerce.number().int(), hash: z.string() });

const DUPLICATE_SCHEMA = "42P06";
const UNDEFINED_FUNCTION = "42883";

/** PostgreSQL cuts names to 63 bytes. */
const LONGEST_NAME = 63;

/**
 * Restores the backup in `dir` and compares it with its manifest. The role needs CREATE on the database.
 * Errors: bad-input (no backup there, damaged, foreign, schema exists, no right), difference (the restored rows are not
 * the ones backed up), stopped.
 */
export async function restoreBackup(options: RestoreOptions): Promise<RestoreReport> {
  const { target } = options;
  const dir = resolve(options.dir);
  const signal = options.signal ?? new AbortController().signal;
  const manifest = await manifestIn(dir);
  const schema = options.into?.schema ?? scratchSchema(manifest.migration);
  const keep = options.into?.keep ?? false;
  try {
    await assertUnchanged(dir, manifest, signal);
    const open = () => Session.open(target);
    const session = await open();
    const found = await cancelledBy(signal, session, open, () =>
      load(session, {
        dir,
        manifest,
        schema,
        keep,
        signal,
        onProgress: options.onProgress ?? (() => undefined),
      }),
    ).finally(() => session.end());
    if (found.rows === manifest.rows && found.hash === manifest.hash)
      return { ...found, equal: true, schema, kept: keep };
    throw different(manifest, found, keep ? schema : null);
  } catch (error) {
    if (signal.aborted)
      throw stopped("the restore", "Nothing was left behind.", "Run the same command again.", error);
    throw restoreFault(error, manifest, schema, target);
  }
}

async function manifestIn(dir: string): Promise<Manifest> {
  const manifest = await readManifest(dir);
  if (manifest !== null) return manifest;
  const there = await stat(dir).then(
    (found) => found.isDirectory(),
    () => false,
  );
  throw badInput(
    there ? `${dir} has no ${MANIFEST}: it holds no finished backup` : `there is no directory ${dir}`,
    "Give the directory of one backup, as the run printed it: <backup-dir>/<migration>.",
  );
}

function scratchSchema(migration: string): string {
  const name = Buffer.from(`partway_restore_${migration}`);
  // Cut at a byte that begins a character.
  let end = Math.min(name.length, LONGEST_NAME);
  while (end < name.length && ((name[end] ?? 0) & 0xc0) === 0x80) end--;
  return name.subarray(0, end).toString();
}

interface Load {
  dir: string;
  manifest: Manifest;
  schema: string;
  keep: boolean;
  signal: AbortSignal;
  onProgress: (sofar: { rows: number; bytes: number }) => void;
}

/** One transaction: schema, table, rows, count and hash. Committed only to be kept. */
async function load(session: Session, options: Load): Promise<{ rows: number; hash: string }> {
  const { manifest, schema, dir } = options;
  const table = { schema, name: manifest.table.name, columns: manifest.columns };
  await session.begin();
  try {
    // pg_dump, too, reads xml this way: a column may hold documents and fragments.
    await session.query("SET LOCAL xmloption = content");
    await session.query(`CREATE SCHEMA ${ident(schema)}`);
    await session.query(scratchTableSql(table));
    await readRows({
      manifest,
      path: join(dir, manifest.file),
      signal: options.signal,
      sink: (rows) =>
        pipeline(counted(rows, options.onProgress), session.copyIn(copyInSql(table, manifest.encoding))),
    });
    const sum = await session.one(Sum, sumSql(table));
    if (options.keep) await session.commit();
    return sum;
  } finally {
    if (session.inTransaction) await session.rollback();
  }
}

function different(manifest: Manifest, found: { rows: number }, kept: string | null): PartwayError {
  const what =
    found.rows === manifest.rows
      ? `the ${found.rows} restored rows are not the ones backed up: their content hash differs`
      : `${found.rows} rows were restored, the backup was made of ${manifest.rows}`;
  return new PartwayError("difference", {
    what,
    state:
      kept === null
        ? "The restored rows were removed; the original table was not touched."
        : `The restored rows are in schema ${kept}; the original table was not touched.`,
    next: `Do not rely on this backup. If the server is not the one it was made on (version ${manifest.serverVersion}), restore it there; else make a new one.`,
  });
}

/** What the server refused, in the operator's terms. */
function restoreFault(error: unknown, manifest: Manifest, schema: string, target: Target): PartwayError {
  const state = sqlState(error);
  const said = messageOf(error);
  const gone = "Nothing was left behind; the original table was not touched.";
  if (error instanceof PartwayError || state === null)
    return asPartwayError(error, gone, "Run the same command again.");
  if (state === DUPLICATE_SCHEMA)
    return badInput(
      `schema ${schema} exists already in ${describeTarget(target)}`,
      `Restore into another with --into, or drop it if it is an earlier restore: DROP SCHEMA ${ident(schema)} CASCADE`,
      error,
    );
  if (state === SQLSTATE.insufficientPrivilege)
    return badInput(
      `${target.user} may not make the scratch schema: ${said}`,
      `GRANT CREATE ON DATABASE ${ident(target.database)} TO ${ident(target.user)}`,
      error,
    );
  if (state === SQLSTATE.undefinedObject || state === SQLSTATE.invalidSchema || state === UNDEFINED_FUNCTION)
    return badInput(
      `${describeTarget(target)} lacks something the table needs: ${said}`,
      "Restore into the database the backup was made of, or create what is missing.",
      error,
    );
  // Class 22 (data exception) and 23 (integrity constraint violation): a row was refused.
  if (/^2[23]/.test(state))
    return new PartwayError(
      "difference",
      {
        what: `the server refused a row of the backup of ${manifest.table.schema}.${manifest.table.name}: ${said}`,
        state: gone,
        next: "Do not rely on this backup; make a new one.",
      },
      { cause: error },
    );
  return asPartwayError(error, gone, "Run the same command again.");
}

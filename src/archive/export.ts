/**
 * A leaf's rows out to a place, and back in to prove it: count, content hash and rows come from one snapshot; then what
 * was written is read back, opened, and loaded into a temporary table whose count and hash must be the same.
 */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { z } from "zod";
import { lockSql, scratchTableSql, sumSql } from "../backup/sql.js";
import { cancelledBy } from "../backup/stop.js";
import { readColumns } from "../catalog/columns.js";
import type { ColumnInfo } from "../catalog/types.js";
import { PartwayError } from "../errors.js";
import { ident } from "../pg/quote.js";
import { Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import type { Target } from "../pg/target.js";
import type { ArchiveKey } from "./key.js";
import { type Digest, digested, loadArchive, SumRow } from "./load.js";
import { ArchiveManifest, isManifestThere, MANIFEST_END, manifestText } from "./manifest.js";
import { notAsUtf8, planParquet, saidOf } from "./parquet/plan.js";
import { type Footer, writtenAsParquet } from "./parquet/write.js";
import type { Place } from "./place.js";
import { seal } from "./seal.js";
import { csvOutSql, MONEY_SQL } from "./sql.js";

export interface Export {
  id: string;
  table: { schema: string; name: string; column: string };
  leaf: { oid: string; schema: string; name: string };
  bound: string;
  target: Target;
  place: Place;
  key: ArchiveKey | null;
  format: Format;
  signal: AbortSignal;
  /** Bytes of rows so far: on their way out, and, where the archive is proven, back. */
  onBytes: (step: "written" | "read", bytes: number) => void;
}

/** Where the files of a table's archives lie below their place. */
export function folderOf({ schema, name }: { schema: string; name: string }): string {
  return `${safe(schema)}.${safe(name)}/`;
}

/** What every file system and every URL takes as it is. */
function safe(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_-]/g, "_");
}

/** A new one for every export: what another has written, or this one before, is not written over. */
export function newArchiveId(leaf: string): string {
  return `leaf_${safe(leaf)}_${randomBytes(8).toString("hex")}`;
}

export type Format = ArchiveManifest["data"]["format"];

/** Beside the manifest. */
export function dataFileOf(id: string, key: Pick<ArchiveKey, "id"> | null, format: Format): string {
  return `${id}.${format === "csv" ? "csv.gz" : "parquet"}${key === null ? "" : ".sealed"}`;
}

/** Of an empty file: its length and the mark around it. */
const LEAST_FOOTER = 12;

const About = z.object({
  encoding: z.string(),
  version: z.coerce.number(),
  at: z.string(),
  database: z.string(),
  bytes: z.coerce.number(),
});

const ABOUT_SQL = /*sql*/ `
SELECT current_setting('server_encoding') AS encoding, current_setting('server_version_num') AS version,
       to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at,
       current_database() AS database, pg_table_size($1::oid)::text AS bytes`;

/**
 * Exports the leaf, proves it, and writes the manifest last: where that stands the archive is complete. Errors:
 * PlaceFault, `difference`, `refused` without the right to make a temporary table, what the server says.
 */
export async function exportLeaf(request: Export): Promise<ArchiveManifest> {
  const { id, table, leaf, place, signal } = request;
  const manifest = await onOwn(request, (session) =>
    session.tx(() => write(request, session), {
      ...{ isolation: "repeatable read", readOnly: true, lock: lockSql(leaf) },
    }),
  );
  await onOwn(request, (session) => prove(request, manifest, session));
  const text = Buffer.from(manifestText(manifest));
  const name = `${folderOf(table)}${id}${MANIFEST_END}`;
  await place.write(name, only(text), text.length, signal);
  if (await isManifestThere(place, name, manifest)) return manifest;
  throw new PartwayError("difference", {
    what: `${place.shown(name)} is not the manifest that was written there: it cannot be read back`,
    state: "The leaf and its rows are there; nothing was dropped.",
    next: "Look at the storage, or take another place for archives, then the same command again.",
  });
}

/** A connection of its own: a COPY that breaks off takes its connection along. */
async function onOwn<T>({ target, signal }: Export, work: (session: Session) => Promise<T>): Promise<T> {
  const open = () => Session.open(target);
  const session = await open();
  return cancelledBy(signal, session, open, () => work(session)).finally(() => session.end());
}

async function write(request: Export, session: Session): Promise<ArchiveManifest> {
  const { id, table: of, leaf, bound, place, key, format, signal, onBytes } = request;
  const columns: ColumnInfo[] = await readColumns(session, leaf.oid);
  const about = await session.one(About, ABOUT_SQL, [leaf.oid]);
  const table = { ...leaf, columns };
  const sum = await session.one(SumRow, sumSql(table));
  const file = dataFileOf(id, key, format);
  await session.query(MONEY_SQL);
  const plan = format === "csv" ? null : await planParquet(session, table, about.encoding);
  const said = plan === null ? {} : { stored: plan.stored };
  const describe = (digest: Digest, footer: Footer | null) =>
    ArchiveManifest.parse({
      ...{ format: "partway-archive", version: 1, id, database: about.database, table: of },
      ...{ leaf: { schema: leaf.schema, name: leaf.name }, bound, columns },
      ...{ serverVersion: about.version, encoding: about.encoding, snapshotAt: about.at, ...sum },
      data: { file, format, compression: "gzip", key: key?.id ?? null, ...digest, ...said, footer },
      host: hostname(),
    });
  // Before anything is written: one that could not be read again would be found out when the leaf is gone.
  const none = { bytes: 1, sha256: "0".repeat(64) };
  describe(none, { ...none, bytes: LEAST_FOOTER });
  let bytes = 0;
  const counted = async function* (rows: AsyncIterable<Buffer | string>): AsyncGenerator<Buffer> {
    for await (const chunk of rows) {
      bytes += chunk.length;
      onBytes("written", bytes);
      yield Buffer.from(chunk);
    }
  };
  const passed: Digest[] = [];
  const store = async (zipped: AsyncIterable<Buffer>) => {
    const chunks = digested(key === null ? zipped : seal(zipped, key.bytes));
    await place.write(`${folderOf(of)}${file}`, chunks.chunks, about.bytes, signal);
    passed.push(chunks.passed());
  };
  let footer: Footer | null = null;
  try {
    if (plan === null)
      await pipeline(session.copyOut(csvOutSql(table, about.encoding)), counted, createGzip(), store, {
        signal,
      });
    else {
      const kept = { id, table: of, leaf: { schema: leaf.schema, name: leaf.name }, bound };
      const writing = { ...plan, about: JSON.stringify({ ...kept, columns: saidOf(plan, columns) }) };
      const written = writtenAsParquet(counted(session.copyOut(plan.sql)), writing);
      await pipeline(written.chunks, store, { signal });
      footer = written.footer();
    }
  } catch (error) {
    // A COPY that nobody reads any more blocks its connection: not even a ROLLBACK would get through.
    await session.end();
    throw plan === null ? error : notAsUtf8(error, leaf);
  }
  const [digest] = passed;
  if (digest === undefined) throw new Error("the archive was written and not counted");
  return describe(digest, footer);
}

/** Into a temporary table, as a restore would, and away with it. */
async function prove(request: Export, manifest: ArchiveManifest, session: Session): Promise<void> {
  const { place, key, signal, onBytes } = request;
  const into = { schema: "pg_temp", name: "partway_archived" };
  await session.begin();
  try {
    await session.query(scratchTableSql({ ...into, columns: manifest.columns })).catch((error: unknown) => {
      throw lacksTemporary(error, session);
    });
    const onRead = (bytes: number) => onBytes("read", bytes);
    const folder = folderOf(manifest.table);
    await loadArchive(session, { manifest, folder, place, key, signal, onBytes: onRead }, into);
  } finally {
    if (session.inTransaction) await session.rollback();
  }
}

function lacksTemporary(error: unknown, { target }: Session): unknown {
  if (sqlState(error) !== SQLSTATE.insufficientPrivilege) return error;
  return new PartwayError(
    "refused",
    {
      what: `an archive is proven by loading it into a temporary table, and ${target.user} may make none`,
      state: "The leaf and its rows are there.",
      next: `GRANT TEMPORARY ON DATABASE ${ident(target.database)} TO ${ident(target.user)}, then the same command again.`,
    },
    { cause: error },
  );
}

async function* only(text: Buffer): AsyncGenerator<Buffer> {
  yield text;
}

/** An archive's rows into a table of the server: read, opened, unpacked, copied in, counted and hashed. */
import { createHash } from "node:crypto";
import { pipeline } from "node:stream/promises";
import { isDeepStrictEqual } from "node:util";
import { createGunzip } from "node:zlib";
import { z } from "zod";
import { errnoOf } from "../backup/files.js";
import { dataColumns } from "../backup/manifest.js";
import { sumSql } from "../backup/sql.js";
import { readColumns } from "../catalog/columns.js";
import type { ColumnInfo } from "../catalog/types.js";
import { badInput, PartwayError } from "../errors.js";
import { qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import type { ArchiveKey } from "./key.js";
import type { ArchiveManifest } from "./manifest.js";
import { isText, type StoredColumn } from "./parquet/columns.js";
import { NotReadable, rowsOfParquet } from "./parquet/read.js";
import { textInSql } from "./parquet/sql.js";
import { type Footer, sha256Of } from "./parquet/write.js";
import type { Place } from "./place.js";
import { plainBytesOf, unseal, unsealFrom } from "./seal.js";
import { csvInSql, MONEY_SQL } from "./sql.js";

export const SumRow = z.object({ rows: z.coerce.number().int(), hash: z.string() });
export type Sum = z.infer<typeof SumRow>;

/** What has passed so far. */
export interface Digest {
  bytes: number;
  sha256: string;
}

/** Hands `chunks` on; `passed` has their number and sha256 once all have. */
export function digested(chunks: AsyncIterable<Buffer>): {
  chunks: AsyncGenerator<Buffer>;
  passed: () => Digest;
} {
  const hash = createHash("sha256");
  let bytes = 0;
  async function* through(): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  }
  return { chunks: through(), passed: () => ({ bytes, sha256: hash.copy().digest("hex") }) };
}

export interface Load {
  manifest: ArchiveManifest;
  /** Below `place`, with a slash at its end; empty: the place itself. */
  folder: string;
  place: Place;
  key: ArchiveKey | null;
  signal: AbortSignal;
  onBytes?: ((bytes: number) => void) | undefined;
}

/**
 * Fills `into`, a table with the manifest's columns, in the transaction that `session` is in, and gives what is in it
 * then. Errors: bad-input (damaged, another key), `difference` where file, count or hash are not the manifest's;
 * NotThere, PlaceFault; what the server says to a row.
 */
export async function loadArchive(
  session: Session,
  load: Load,
  into: { schema: string; name: string },
): Promise<Sum> {
  const { manifest, folder, place, key, signal, onBytes } = load;
  const { data, columns, encoding } = manifest;
  assertKey(manifest, key);
  const shown = place.shown(`${folder}${data.file}`);
  const end =
    data.format === "csv"
      ? null
      : { stored: storedOf(manifest, data.stored, shown), footer: await endOf(load, data.footer) };
  const isUtf8 = isText(encoding);
  // A column of xml may hold documents and fragments.
  await session.query("SET LOCAL xmloption = content");
  await session.query(MONEY_SQL);
  const file = digested(await place.read(`${folder}${data.file}`));
  let bytes = 0;
  const counted = async function* (rows: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of rows) {
      bytes += chunk.length;
      onBytes?.(bytes);
      yield chunk;
    }
  };
  const opened = data.key === null || key === null ? file.chunks : unseal(file.chunks, key.bytes);
  if (end === null)
    await pipeline(
      opened,
      createGunzip(),
      counted,
      session.copyIn(csvInSql({ ...into, columns }, encoding)),
      {
        signal,
      },
    ).catch((error: unknown) => {
      const code = errnoOf(error);
      throw code?.startsWith("Z_") ? damaged(shown, `gzip says ${code}`, error) : error;
    });
  else {
    const { stored, footer } = end;
    const rows = rowsOfParquet(opened, { columns: stored, isUtf8, footer });
    await pipeline(rows, counted, session.copyIn(textInSql(into, stored, isUtf8)), { signal }).catch(
      (error: unknown) => {
        if (error instanceof NotReadable) throw damaged(shown, error.message, error);
        throw error;
      },
    );
  }
  // The rest of the transaction reads bounds as this database prints them.
  await session.query("SET LOCAL lc_monetary TO DEFAULT");
  const found = file.passed();
  if (found.sha256 !== data.sha256 || found.bytes !== data.bytes)
    throw different(`the archive ${shown} is not the file that was written: its size or sha256 differ`);
  const sum = await session.one(
    SumRow,
    sumSql({ ...into, columns: await hashedColumns(session, into, columns) }),
  );
  if (sum.rows !== manifest.rows)
    throw different(`the archive ${shown} gives ${sum.rows} rows, the leaf had ${manifest.rows}`);
  if (sum.hash !== manifest.hash)
    throw different(`the ${sum.rows} rows of ${shown} are not those of the leaf: their content hash differs`);
  return sum;
}

/** The columns of the file, as the manifest says it twice. */
function storedOf(manifest: ArchiveManifest, stored: readonly StoredColumn[], shown: string) {
  const names = stored.map(({ name }) => name);
  if (isDeepStrictEqual(names, dataColumns(manifest.columns))) return stored;
  throw damaged(shown, "its manifest names other columns for its data than for its leaf");
}

/** The file's end, which says where the rows are, comes before them: a second look at the place, and a short one. */
async function endOf(
  { manifest: { data }, folder, place, key }: Load,
  { bytes: size, sha256 }: Footer,
): Promise<Buffer> {
  const name = `${folder}${data.file}`;
  const whole = key === null ? data.bytes : plainBytesOf(data.bytes);
  if (size > whole) throw damaged(place.shown(name), "its end is not there");
  const from = whole - size;
  const read = (at: number) => place.read(name, at);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of key === null ? await read(from) : unsealFrom(read, key.bytes, from)) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > size) break;
  }
  const end = Buffer.concat(chunks);
  if (sha256Of(end) === sha256) return end;
  throw different(`the archive ${place.shown(name)} is not the file that was written: its end differs`);
}

function damaged(shown: string, why: string, cause?: unknown): PartwayError {
  return badInput(`the archive ${shown} is damaged: ${why}`, OTHER, cause);
}

const Oid = z.object({ oid: z.string() });

/**
 * The columns of the table as the server has them, in the archive's order: how a row is hashed is SQL, and a manifest is
 * a file that anybody may have written.
 */
async function hashedColumns(
  session: Session,
  { schema, name }: { schema: string; name: string },
  archived: ArchiveManifest["columns"],
): Promise<ColumnInfo[]> {
  const { oid } = await session.one(Oid, "SELECT $1::regclass::oid::text AS oid", [qualified(schema, name)]);
  const made = await readColumns(session, oid);
  return archived.map((column) => {
    const found = made.find((one) => one.name === column.name);
    if (found === undefined) throw different(`the table has no column ${column.name} of the archive`);
    return found;
  });
}

/** Whether the file is there as the manifest says. Errors: PlaceFault. */
export async function isIntact({ manifest: { data }, folder, place, signal }: Load): Promise<boolean> {
  const file = digested(await place.read(`${folder}${data.file}`));
  for await (const _ of file.chunks) signal.throwIfAborted();
  const { bytes, sha256 } = file.passed();
  return bytes === data.bytes && sha256 === data.sha256;
}

const OTHER = "Use another copy of the archive.";

function assertKey({ id, data }: ArchiveManifest, key: ArchiveKey | null): void {
  if (data.key === (key?.id ?? null)) return;
  if (key === null)
    throw badInput(`the archive ${id} is sealed`, "Say where its key is: --key-file or --key-env.");
  if (data.key !== null)
    throw badInput(
      `the archive ${id} is sealed with another key: ${data.key}, and this is ${key.id}`,
      "Give the key it was made with.",
    );
}

function different(what: string): PartwayError {
  return new PartwayError("difference", { what, state: "Its rows were not kept.", next: OTHER });
}

/** An archive's rows into a table of the server: read, opened, unpacked, copied in, counted and hashed. */
import { createHash } from "node:crypto";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { z } from "zod";
import { errnoOf } from "../backup/files.js";
import { sumSql } from "../backup/sql.js";
import { readColumns } from "../catalog/columns.js";
import type { ColumnInfo } from "../catalog/types.js";
import { badInput, PartwayError } from "../errors.js";
import { qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import type { ArchiveKey } from "./key.js";
import type { ArchiveManifest } from "./manifest.js";
import type { Place } from "./place.js";
import { unseal } from "./seal.js";
import { csvInSql } from "./sql.js";

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
  { manifest, folder, place, key, signal, onBytes }: Load,
  into: { schema: string; name: string },
): Promise<Sum> {
  const { data, columns, encoding } = manifest;
  assertKey(manifest, key);
  const shown = place.shown(`${folder}${data.file}`);
  const file = digested(await place.read(`${folder}${data.file}`));
  const table = { ...into, columns };
  // A column of xml may hold documents and fragments.
  await session.query("SET LOCAL xmloption = content");
  let bytes = 0;
  const counted = async function* (rows: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of rows) {
      bytes += chunk.length;
      onBytes?.(bytes);
      yield chunk;
    }
  };
  const opened = data.key === null || key === null ? file.chunks : unseal(file.chunks, key.bytes);
  try {
    await pipeline(opened, createGunzip(), counted, session.copyIn(csvInSql(table, encoding)), { signal });
  } catch (error) {
    const code = errnoOf(error);
    if (code === null || !code.startsWith("Z_")) throw error;
    throw badInput(`the archive ${shown} is damaged: gzip says ${code}`, OTHER, error);
  }
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

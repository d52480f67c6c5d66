/** `<id>.manifest.json`: what an archive holds, how to prove it, and what it takes to bring it back. Written last. */
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { Column, parseJson } from "../backup/manifest.js";
import { badInput } from "../errors.js";
import { StoredColumn } from "./parquet/columns.js";
import { NotThere, type Place } from "./place.js";

const Named = z.object({ schema: z.string().min(1), name: z.string().min(1) });

/** The file's end is read into memory. */
const MOST_FOOTER = 256 * 1024 * 1024;

const dataShape = {
  /** Beside the manifest; sealed where a key is named. */
  file: z.string().regex(/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/),
  compression: z.literal("gzip"),
  /** Which key opens it; null: it is not sealed. */
  key: z.string().nullable(),
  bytes: z.number().int().positive(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
};

export const ArchiveManifest = z.object({
  format: z.literal("partway-archive"),
  version: z.literal(1),
  id: z.string().regex(/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/),
  database: z.string(),
  /** The partitioned table, and the column it is cut by. */
  table: Named.extend({ column: z.string().min(1) }),
  leaf: Named,
  /** As PostgreSQL prints it in UTC: FOR VALUES FROM (...) TO (...). */
  bound: z.string().startsWith("FOR VALUES FROM ("),
  /** The leaf's, in its order; the file has those that are not generated. */
  columns: z.array(Column).min(1),
  /** server_version_num. */
  serverVersion: z.number().int(),
  /** Of the data: the database's own. */
  encoding: z.string().regex(/^[A-Za-z0-9_]+$/),
  /** Database time of the snapshot, UTC. */
  snapshotAt: z.string(),
  rows: z.number().int().nonnegative(),
  /** Sum of the row hashes (sync/rowhash.ts), a whole number too big for JavaScript. */
  hash: z.string().regex(/^-?\d+$/),
  data: z.discriminatedUnion("format", [
    /** CSV with a header. */
    z.object({ ...dataShape, format: z.literal("csv") }),
    z.object({
      ...dataShape,
      format: z.literal("parquet"),
      /** Bytes of the file's end, which says where its rows are. */
      footer: z.object({
        bytes: z.number().int().min(12).max(MOST_FOOTER),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
      }),
      /** What each column is stored as, in the file's order: text is as PostgreSQL prints it. */
      stored: z.array(StoredColumn).min(1),
    }),
  ]),
  /** The machine that wrote it: a folder is on there. */
  host: z.string(),
});
export type ArchiveManifest = z.infer<typeof ArchiveManifest>;

export const MANIFEST_END = ".manifest.json";

export function manifestText(manifest: ArchiveManifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** Errors: bad-input where it is no manifest that this version of Partway wrote. */
export function parseManifest(text: string, shown: string): ArchiveManifest {
  const parsed = ArchiveManifest.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw badInput(
    `${shown} is not the manifest of an archived leaf: ${z.prettifyError(parsed.error)}`,
    `Give the file that ends in ${MANIFEST_END}, beside the data.`,
    parsed.error,
  );
}

async function textAt(place: Place, name: string): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of await place.read(name)) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

/** Errors: NotThere, PlaceFault; as `parseManifest`. */
export async function readManifest(place: Place, name: string): Promise<ArchiveManifest> {
  return parseManifest(await textAt(place, name), place.shown(name));
}

/** Whether `name` can be read there as this very manifest. Errors: PlaceFault. */
export async function isManifestThere(
  place: Place,
  name: string,
  manifest: ArchiveManifest,
): Promise<boolean> {
  try {
    const { data } = ArchiveManifest.safeParse(parseJson(await textAt(place, name)));
    return data !== undefined && isDeepStrictEqual(data, manifest);
  } catch (error) {
    if (error instanceof NotThere) return false;
    throw error;
  }
}

/** manifest.json: what a backup holds and how to prove it. Written last, so where it stands the backup is complete. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { ColumnInfo } from "../catalog/types.js";
import { badInput } from "../errors.js";
import { errnoOf, writeWhole } from "./files.js";

export const MANIFEST = "manifest.json";

/** A column as a manifest has it. */
export const Column = z.object({
  attnum: z.number().int(),
  name: z.string().min(1),
  type: z.string().min(1),
  baseType: z.string(),
  typeKind: z.string(),
  typeCategory: z.string(),
  sendFunction: z.string().nullable(),
  equalIsIdentical: z.boolean(),
  hasBtree: z.boolean(),
  hasHash: z.boolean(),
  notNull: z.boolean(),
  default: z.string().nullable(),
  identity: z.enum(["always", "by default"]).nullable(),
  generated: z.enum(["stored", "virtual"]).nullable(),
  collation: z.string().nullable(),
  statistics: z.number().nullable(),
  options: z.array(z.string()),
  comment: z.string().nullable(),
}) satisfies z.ZodType<ColumnInfo>;

export const Manifest = z.object({
  format: z.literal("partway-backup"),
  version: z.literal(1),
  /** Plan.id. */
  migration: z.string().min(1),
  table: z.object({ schema: z.string().min(1), name: z.string().min(1) }),
  columns: z.array(Column).min(1),
  /** Statements that make the bare table again, under its own name, for a person to run. */
  ddl: z.array(z.string()),
  method: z.enum(["pg_dump", "copy"]),
  /** Version of pg_dump, or of Partway's own format. */
  toolVersion: z.string(),
  /** server_version_num. */
  serverVersion: z.number().int(),
  /** The source database's encoding, in which the data is. */
  encoding: z.string().regex(/^[A-Za-z0-9_]+$/),
  /** Database time of the snapshot, UTC. */
  snapshotAt: z.string(),
  rows: z.number().int().nonnegative(),
  /** Sum of the row hashes (sync/rowhash.ts), a whole number too big for JavaScript. */
  hash: z.string().regex(/^-?\d+$/),
  /** Name of the data file, beside the manifest. */
  file: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/),
  bytes: z.number().int().positive(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

export type Manifest = z.infer<typeof Manifest>;

/** Columns whose values are in the data file, in order: all but the generated ones. */
export function dataColumns(columns: readonly ColumnInfo[]): string[] {
  return columns.filter((column) => column.generated === null).map((column) => column.name);
}

export async function writeManifest(dir: string, manifest: Manifest): Promise<void> {
  await writeWhole(join(dir, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
}

/**
 * The manifest in `dir`, or null when there is none. Errors: bad-input when the file is there but is not a manifest
 * that this version of Partway wrote; it is never overwritten.
 */
export async function readManifest(dir: string): Promise<Manifest | null> {
  const path = join(dir, MANIFEST);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return null;
    throw badInput(
      `${path} cannot be read: ${errnoOf(error) ?? "unknown error"}`,
      "Check its permissions.",
      error,
    );
  }
  const parsed = Manifest.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw badInput(
    `${path} is not the manifest of a Partway backup: ${z.prettifyError(parsed.error)}`,
    "Give the directory of a backup that this version of Partway made, or move the file away.",
    parsed.error,
  );
}

/** The parsed text, or null, which no manifest's schema accepts, when it is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Is a backup's file what its manifest says, and can its rows be read? Without a database. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { badInput, PartwayError } from "../errors.js";
import { readCopy } from "./copy.js";
import { digest, errnoOf } from "./files.js";
import { dataColumns, type Manifest } from "./manifest.js";
import { assertListed, readDump } from "./pgdump.js";
import { countLines } from "./rows.js";
import { findTools, type Tools, toolDirs } from "./tools.js";

const AGAIN = "Use another backup, or make a new one.";

/** Size and sha256 of the data file in `dir` are the manifest's. Errors: bad-input that says how they differ. */
export async function assertUnchanged(dir: string, manifest: Manifest, signal: AbortSignal): Promise<void> {
  const path = join(dir, manifest.file);
  const found = await stat(path).catch((error: unknown) => {
    throw badInput(
      `the backup's data ${path} cannot be read: ${errnoOf(error) ?? "unknown error"}`,
      AGAIN,
      error,
    );
  });
  if (found.size !== manifest.bytes)
    throw badInput(
      `${path} has ${found.size} bytes, its manifest says ${manifest.bytes}: it is not whole`,
      AGAIN,
    );
  const { sha256 } = await digest(path, signal);
  if (sha256 !== manifest.sha256)
    throw badInput(`${path} has changed since the backup was made: its sha256 is not the manifest's`, AGAIN);
}

/** Hands the rows of the data file at `path` to `sink`, whatever made it. Errors: bad-input; what `sink` throws. */
export async function readRows(options: {
  manifest: Pick<Manifest, "method" | "table" | "columns" | "toolVersion">;
  path: string;
  signal: AbortSignal;
  sink: (rows: AsyncIterable<Buffer>) => Promise<void>;
}): Promise<void> {
  const { manifest, path, signal, sink } = options;
  if (manifest.method === "copy") return readCopy({ path, signal, sink });
  const tools = await restoreTools(manifest.toolVersion);
  const { table } = manifest;
  await assertListed({ tools, table, path });
  await readDump({ tools, table, columns: dataColumns(manifest.columns), path, signal, sink });
}

/** An older pg_restore may not know the archive's format. */
async function restoreTools(madeBy: string): Promise<Tools> {
  const tools = await findTools(Number.parseInt(madeBy, 10), await toolDirs());
  if (tools !== null) return tools;
  throw badInput(
    `the backup was made by pg_dump ${madeBy} and no pg_restore as new is on this machine`,
    `Install PostgreSQL client programs of version ${Number.parseInt(madeBy, 10)} or newer, or put them on PATH.`,
  );
}

/** Every row in the file at `path` can be read, and there are `rows` of them. Errors: bad-input, unexpected. */
export async function assertRows(
  manifest: Pick<Manifest, "method" | "table" | "columns" | "toolVersion">,
  path: string,
  rows: number,
  signal: AbortSignal,
): Promise<void> {
  let found = 0;
  const sink = async (source: AsyncIterable<Buffer>) => {
    for await (const chunk of source) found += countLines(chunk);
  };
  await readRows({ manifest, path, signal, sink });
  if (found === rows) return;
  throw new PartwayError("unexpected", {
    what: `the backup ${path} holds ${found} rows, the table had ${rows} in the same snapshot`,
    state: "The database was only read. The backup is not used.",
    next: "Run the same command again; if it happens twice, report it.",
  });
}

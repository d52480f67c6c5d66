/**
 * Files of a backup on disk: private (0600 in a 0700 directory), written under a temporary name, flushed, then renamed,
 * so that an interrupted backup never looks complete.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, mkdir, open, rename } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { badInput, messageOf, PartwayError } from "../errors.js";
import { numbered } from "../kill-switch.js";

/** What a file that is still being written ends in. */
export const PARTIAL = ".partial";
export const FILE_MODE = 0o600;
const DIR_MODE = 0o700;

/** Makes `dir` and whatever is missing above it; `dir` itself is the owner's alone. Errors: see fileFault. */
export async function makePrivateDir(dir: string): Promise<void> {
  try {
    await numbered("file: the backup's directory is made", async () => {
      await mkdir(dir, { recursive: true, mode: DIR_MODE });
      await chmod(dir, DIR_MODE);
    });
  } catch (error) {
    throw fileFault(error, dir);
  }
}

/** Writes a small file whole: temporary name, flush, rename. */
export async function writeWhole(path: string, text: string): Promise<void> {
  try {
    const handle = await open(path + PARTIAL, "w", FILE_MODE);
    try {
      await numbered(`file: ${basename(path)} is written`, () => handle.writeFile(text));
    } finally {
      await handle.close();
    }
    await publish(path);
  } catch (error) {
    throw fileFault(error, path);
  }
}

/**
 * `<path>.partial` becomes `path`: on disk before it has its name, and the name on disk too. A rename alone survives a
 * killed process, not a power cut.
 */
export async function publish(path: string): Promise<void> {
  await chmod(path + PARTIAL, FILE_MODE);
  await flush(path + PARTIAL);
  await numbered(`file: ${basename(path)} gets its name`, () => rename(path + PARTIAL, path));
  await flush(dirname(path));
}

/** What `path`, a file or a folder, holds is on disk after this. */
export async function flush(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Size in bytes and sha256 (hex) of a file, read as a stream. */
export async function digest(path: string, signal: AbortSignal): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  await pipeline(
    createReadStream(path),
    async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) {
        hash.update(chunk);
        bytes += chunk.length;
      }
    },
    { signal },
  );
  return { bytes, sha256: hash.digest("hex") };
}

/** The errno name of a file system error (`ENOENT`), or null. */
export function errnoOf(error: unknown): string | null {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : null;
}

/** A file system error as the operator should read it; anything that is not one is given back as it came. */
export function fileFault(error: unknown, path: string): unknown {
  if (error instanceof PartwayError) return error;
  switch (errnoOf(error)) {
    case "ENOSPC":
    case "EDQUOT":
    case "EFBIG":
      return diskFull(path, error);
    case "EACCES":
    case "EPERM":
    case "EROFS":
    case "ENOTDIR":
    case "EEXIST":
    case "ENOENT":
    case "ENAMETOOLONG":
      return badInput(
        `the backup cannot be written to ${path}: ${messageOf(error)}`,
        "Give a directory this user may write to with --backup, then run the same command again.",
        error,
      );
    default:
      return error;
  }
}

/** The disk of the backup directory is full. */
export function diskFull(path: string, cause: unknown): PartwayError {
  return new PartwayError(
    "refused",
    {
      what: `no space left for the backup at ${path}`,
      state: "The database was only read. No backup was made; the unfinished file was removed.",
      next: "Free space or give another --backup, then run the same command again.",
    },
    { cause },
  );
}

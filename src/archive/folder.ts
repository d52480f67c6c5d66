/** Archives in a folder: under a temporary name, flushed, then renamed. */
import { randomBytes } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, open, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { errnoOf, FILE_MODE, flush, PARTIAL, publish } from "../backup/files.js";
import { messageOf } from "../errors.js";
import { numbered } from "../kill-switch.js";
import { leftWhole, NotThere, type Place, PlaceFault, takenAlready } from "./place.js";

const DIR_MODE = 0o700;

export function openFolder(root: string): Place {
  const pathOf = (name: string) => join(root, name);
  return {
    shown: pathOf,
    probe: async () => {
      const trial = pathOf(`.partway-${randomBytes(8).toString("hex")}${PARTIAL}`);
      try {
        await makeFolder(root);
        await (await open(trial, "wx", FILE_MODE)).close();
        await rm(trial);
      } catch (error) {
        throw faultOf(error, root);
      }
    },
    write: async (name, body, _about, signal) => {
      const path = pathOf(name);
      try {
        await makeFolder(dirname(path));
        await numbered("file: an archive's file is written", () =>
          pipeline(body, createWriteStream(path + PARTIAL, { flags: "wx", mode: FILE_MODE }), { signal }),
        );
        // Who else would write it waits for the partial one to go, so nothing comes between this look and the rename.
        if (await isThere(path)) throw takenAlready(path);
        await publish(path);
      } catch (error) {
        // Somebody else's is his to end.
        if (errnoOf(error) === "EEXIST") throw faultOf(error, path);
        await rm(path + PARTIAL, { force: true });
        throw faultOf(error, path);
      }
    },
    forget: async (name) => {
      const path = pathOf(name);
      await rm(path + PARTIAL, { force: true }).catch((error: unknown) => {
        throw faultOf(error, path);
      });
      return (await isThere(path)) ? [leftWhole(path)] : [];
    },
    read: async (name, from = 0) => {
      const path = pathOf(name);
      const handle = await open(path, "r").catch((error: unknown) => {
        throw faultOf(error, path);
      });
      return createReadStream(path, { fd: handle, start: from });
    },
    close: () => undefined,
  };
}

/** A folder's name stands in the one above it: until that is on disk, so is nothing in the folder. */
async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: DIR_MODE });
  if (first === undefined) return;
  const end = dirname(first);
  for (let made = resolve(path); made !== end && made !== dirname(made); made = dirname(made))
    await flush(dirname(made));
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** What is not of the file system is given back as it came. */
function faultOf(error: unknown, path: string): unknown {
  const code = errnoOf(error);
  if (code === "ENOENT") return new NotThere(path, error);
  if (code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG")
    return new PlaceFault(
      `no space left for the archive at ${path}`,
      "Free space, then the same command again.",
      error,
    );
  if (code === null || !OF_FILES.has(code)) return error;
  return new PlaceFault(
    `the archive at ${path} cannot be read or written: ${messageOf(error)}`,
    "Give this user its rights there, or another place, then the same command again.",
    error,
  );
}

const OF_FILES: ReadonlySet<string> = new Set([
  "EACCES",
  "EPERM",
  "EROFS",
  "ENOTDIR",
  "EISDIR",
  "EEXIST",
  "ENAMETOOLONG",
  "EIO",
  "ENOTEMPTY",
]);

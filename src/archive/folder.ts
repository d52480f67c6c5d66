/** Archives in a folder: under a temporary name, flushed, then renamed. */
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, open, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { errnoOf, FILE_MODE, PARTIAL, publish } from "../backup/files.js";
import { messageOf } from "../errors.js";
import { numbered } from "../kill-switch.js";
import { NotThere, type Place, PlaceFault } from "./place.js";

const DIR_MODE = 0o700;

export function openFolder(root: string): Place {
  const pathOf = (name: string) => join(root, name);
  return {
    shown: pathOf,
    probe: async () => {
      const trial = pathOf(`.partway-${process.pid}${PARTIAL}`);
      try {
        await mkdir(root, { recursive: true, mode: DIR_MODE });
        await (await open(trial, "w", FILE_MODE)).close();
        await rm(trial);
      } catch (error) {
        throw faultOf(error, root);
      }
    },
    write: async (name, body, _about, signal) => {
      const path = pathOf(name);
      try {
        await mkdir(dirname(path), { recursive: true, mode: DIR_MODE });
        await numbered("file: an archive's file is written", () =>
          pipeline(body, createWriteStream(path + PARTIAL, { mode: FILE_MODE }), { signal }),
        );
        await publish(path);
      } catch (error) {
        await rm(path + PARTIAL, { force: true });
        throw faultOf(error, path);
      }
    },
    read: async (name) => {
      const path = pathOf(name);
      const handle = await open(path, "r").catch((error: unknown) => {
        throw faultOf(error, path);
      });
      return createReadStream(path, { fd: handle });
    },
    close: () => undefined,
  };
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

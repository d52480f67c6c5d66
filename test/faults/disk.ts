/** A small file system of its own (tmpfs) for a server to live on, that can be filled to the last byte and freed again. */
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../../src/errors.js";

export interface SmallDisk {
  dir: string;
  fill(): void;
  free(): void;
  remove(): void;
}

/** Errors: where mounting is not allowed. */
export function smallDisk(megabytes: number): SmallDisk {
  const dir = mkdtempSync(join(tmpdir(), "partway-disk-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m,mode=1777`, "tmpfs", dir], {
      stdio: "pipe",
    });
  } catch (error) {
    rmdirSync(dir);
    throw error;
  }
  const ballast = join(dir, "ballast");
  return {
    dir,
    fill: () => {
      const file = openSync(ballast, "w");
      try {
        for (let size = 1 << 20; size >= 4096; size >>= 4) fillBy(file, Buffer.alloc(size));
      } finally {
        closeSync(file);
      }
    },
    free: () => rmSync(ballast, { force: true }),
    remove: () => {
      execFileSync("umount", ["--lazy", dir]);
      rmdirSync(dir);
    },
  };
}

function fillBy(file: number, piece: Buffer): void {
  for (;;) {
    try {
      writeSync(file, piece);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOSPC") return;
      throw error;
    }
  }
}

/** Why no small disk can be had here, or null. */
export function noSmallDisk(): string | null {
  try {
    smallDisk(1).remove();
    return null;
  } catch (error) {
    return `mounting a tmpfs is not allowed here: ${messageOf(error).split("\n")[0]}`;
  }
}

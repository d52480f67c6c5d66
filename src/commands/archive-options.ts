/** What the commands about archives share: their options as typed, progress, Ctrl-C. */
import { resolve } from "node:path";
import { oneLine, bytes as sized } from "../../ui/format.js";
import type { PlaceOptions } from "../archive.js";
import type { CareWork } from "../care/work.js";
import type { ArchiveSettings } from "../config/schema.js";
import { badInput } from "../errors.js";
import { onSignals } from "./follow.js";

/** The options of `withPlace`, apart from the others; files and folders are meant from where they are typed. */
export function placeOf<T extends PlaceOptions>(
  typed: T,
): { place: PlaceOptions; rest: Omit<T, keyof PlaceOptions> } {
  const { to, endpoint, region, keyFile, keyEnv, format, ...rest } = typed;
  const place = {
    ...(to === undefined ? {} : { to: to.startsWith("s3://") ? to : resolve(to) }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(keyFile === undefined ? {} : { keyFile: resolve(keyFile) }),
    ...(keyEnv === undefined ? {} : { keyEnv }),
    ...(format === undefined ? {} : { format }),
  };
  return { place, rest };
}

/** As a policy has it; undefined: nothing was said. Errors: bad-input without a place. */
export function archiveOf({ to, ...more }: PlaceOptions): ArchiveSettings | undefined {
  if (to !== undefined) return { to, ...more };
  if (Object.keys(more).length === 0) return undefined;
  throw badInput("it is not said where archives go", "Give --to as well.");
}

/** Ctrl-C asks `work` to stop; the second one ends the process. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const off = onSignals(() => stop.abort(new Error("asked to stop")));
  try {
    return await work(stop.signal);
  } finally {
    off();
  }
}

/** What nobody will do for the operator, on stderr: at a terminal and in a pipe. */
export function noted(leaf: string, note: string): void {
  process.stderr.write(`${oneLine(leaf)}: ${oneLine(note)}\n`);
}

const EVERY_MS = 2000;

/** At a terminal, how far an archive is, every other second; nothing in a pipe. */
export function archiveProgress(): CareWork["onArchive"] {
  if (process.stderr.isTTY !== true) return undefined;
  let last = performance.now();
  return (leaf, step, bytes) => {
    if (performance.now() - last < EVERY_MS) return;
    last = performance.now();
    process.stderr.write(`${oneLine(leaf)}: ${sized(bytes)} of rows ${step}\n`);
  };
}

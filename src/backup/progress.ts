/** How far a file has grown, while something else writes it. */
import { statSync } from "node:fs";

/** A screen that is drawn a few times a second needs no more. */
const EVERY_MS = 500;

/** Reports the size of `path` in bytes twice a second until the function it gives is called. */
export function watchFile(path: string, report: (bytes: number) => void): () => void {
  const timer = setInterval(() => report(statSync(path, { throwIfNoEntry: false })?.size ?? 0), EVERY_MS);
  return () => clearInterval(timer);
}

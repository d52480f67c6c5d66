/** Commands that other terminals wrote into the journal: taken, obeyed or refused, and answered. */
import type { Command } from "../../state/events.js";
import type { Journal } from "../../state/journal.js";

const POLL_MS = 300;
/** Whoever asks waits 15 s for the answer. What is older was asked by a process that is gone: nobody wants it any more. */
const STALE_MS = 20_000;

/**
 * Hands each command to `obey`, which answers whether it was done, and what to say. Errors (a journal that cannot be
 * written, or is another process's now) go to `broken`. Gives the function that ends it.
 */
export function obeyOthers(
  journal: Journal,
  migration: string,
  obey: (command: Command) => { ok: boolean; message: string },
  broken: (error: unknown) => void,
): () => void {
  const timer = setInterval(() => {
    try {
      for (const { rowid, name, at } of journal.takeCommands(migration)) {
        const isStale = Date.now() - Date.parse(at) > STALE_MS;
        const { ok, message } = isStale
          ? { ok: false, message: "it was asked for too long ago" }
          : obey(name);
        journal.answer(rowid, ok, message, new Date().toISOString());
      }
    } catch (error) {
      broken(error);
    }
  }, POLL_MS);
  return () => clearInterval(timer);
}

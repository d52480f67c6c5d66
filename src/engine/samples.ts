/** What the report draws over time, out of the stream of events: the journal keeps only the newest of those. */
import type { RunEventBody } from "../../state/events.js";

/** A window of weeks must not fill the journal: after so many samples of a kind the next ones come half as often. */
const THIN_AFTER = 200;
const FIRST_INTERVAL_MS = 1000;

export class Samples {
  readonly #kept = new Map<string, { count: number; at: number }>();

  /** The measurement in an event that is due to be kept; null: none. `now`: performance.now(). */
  of(event: RunEventBody, now: number): { name: string; value: number } | null {
    if (event.event !== "backlog") return null;
    const name = `backlog-${event.direction}`;
    const last = this.#kept.get(name);
    const count = last?.count ?? 0;
    const interval = FIRST_INTERVAL_MS * 2 ** Math.floor(count / THIN_AFTER);
    if (last !== undefined && now - last.at < interval) return null;
    this.#kept.set(name, { count: count + 1, at: now });
    return { name, value: event.keys };
  }
}

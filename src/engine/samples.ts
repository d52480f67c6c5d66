/** What the report draws over time, out of the stream of events: the journal keeps only the newest of those. */
import type { RunEventBody } from "../../state/events.js";

/** A window of weeks must not fill the journal: after so many samples of a kind the next ones come half as often. */
const THIN_AFTER = 200;
const FIRST_INTERVAL_MS = 1000;

export class Samples {
  readonly #kept = new Map<string, { count: number; at: number }>();

  /** The measurements in an event that are due to be kept. `now`: performance.now(). */
  of(event: RunEventBody, now: number): { name: string; value: number }[] {
    return measured(event).filter(({ name }) => this.#isDue(name, now));
  }

  #isDue(name: string, now: number): boolean {
    const last = this.#kept.get(name);
    const count = last?.count ?? 0;
    const interval = FIRST_INTERVAL_MS * 2 ** Math.floor(count / THIN_AFTER);
    if (last !== undefined && now - last.at < interval) return false;
    this.#kept.set(name, { count: count + 1, at: now });
    return true;
  }
}

function measured(event: RunEventBody): { name: string; value: number }[] {
  if (event.event === "backlog") return [{ name: `backlog-${event.direction}`, value: event.keys }];
  if (event.event !== "sample" || event.canary == null) return [];
  const { p50, p99 } = event.canary;
  return [
    { name: "canary-p50", value: p50 },
    { name: "canary-p99", value: p99 },
  ];
}

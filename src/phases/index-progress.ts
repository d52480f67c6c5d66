/** Index builds as the operator sees them: how many are done, and how far the current ones are. */
import { z } from "zod";
import type { Session } from "../pg/session.js";
import { rest } from "../sync/drain.js";
import { PieceMap, type Telling } from "./piece-map.js";

/** Share of blocks scanned, else of tuples loaded; null in a step that counts neither. PostgreSQL 12 and later. */
const PROGRESS_SQL = /*sql*/ `
SELECT pid::text AS pid,
       round(100.0 * CASE WHEN blocks_total > 0 THEN blocks_done::numeric / blocks_total
                          WHEN tuples_total > 0 THEN tuples_done::numeric / tuples_total END)::text AS percent
  FROM pg_stat_progress_create_index WHERE pid = ANY ($1::int[])`;

const Row = z.object({ pid: z.coerce.number(), percent: z.string().nullable() });

/** A thousand leaves begin and end thousands of builds: nobody can read more than this, and each event is journalled. */
const REPORT_EVERY_MS = 250;

export class BuildProgress {
  readonly #context: Telling;
  readonly #total: number;
  readonly #current = new Map<number, { name: string; percent: string | null }>();
  readonly #map: PieceMap;
  #started = performance.now();
  #step = "";
  #reportedAt = Number.NEGATIVE_INFINITY;
  #built = 0;
  /** Found built on resume: they say nothing about the pace. */
  #found = 0;

  /** `indexes` of each leaf are built; then its statistics are one unit more. */
  constructor(context: Telling, leaves: number, indexes: number) {
    this.#context = context;
    this.#total = leaves * indexes;
    const whole = new Array<number>(leaves).fill(indexes + 1);
    this.#map = new PieceMap(context, { phase: "index", of: "leaves" }, whole);
  }

  /** What the phase does now, in a few words. */
  step(step: string): void {
    this.#step = step;
    this.#started = performance.now();
    this.#report();
    this.#map.tell();
  }

  /** Work on a leaf that is not one of its units. */
  visit(pid: number, leaf: number | null, what: string): void {
    if (leaf === null) this.#map.end(pid, null);
    else this.#map.begin(pid, leaf, what);
  }

  begin(pid: number, leaf: number, name: string): void {
    this.#current.set(pid, { name, percent: null });
    this.#map.begin(pid, leaf, name);
    this.report();
  }

  /** `found`: it was there already. */
  built(pid: number, leaf: number, found: boolean): void {
    this.#current.delete(pid);
    this.#map.end(pid, leaf);
    this.#built += 1;
    if (found) this.#found += 1;
    this.report();
  }

  /** A leaf has its statistics, and with them everything. */
  finished(pid: number, leaf: number): void {
    this.#map.end(pid, leaf);
  }

  /** What the server says of the build on backend `pid`. */
  seen(pid: number, percent: string | null): void {
    const build = this.#current.get(pid);
    if (build !== undefined) build.percent = percent;
  }

  /** Tells how far it is, unless it has just been told and there is more to come. */
  report(): void {
    if (this.#built === this.#total || performance.now() - this.#reportedAt >= REPORT_EVERY_MS)
      this.#report();
  }

  #report(): void {
    this.#reportedAt = performance.now();
    const seconds = (performance.now() - this.#started) / 1000;
    const made = this.#built - this.#found;
    const left = this.#total - this.#built;
    this.#context.emit({
      event: "index",
      built: this.#built,
      total: this.#total,
      current: [...this.#current.values()].map((b) =>
        b.percent === null ? b.name : `${b.name} ${b.percent}%`,
      ),
      secondsLeft: left === 0 ? 0 : made > 0 && seconds >= 1 ? (left * seconds) / made : null,
      step: this.#step,
    });
  }
}

/** Asks twice a second how far the builds on `workers` are, on a session of its own, until stopped. */
export function watchBuilds(
  observer: Session,
  workers: readonly Session[],
  progress: BuildProgress,
): { stop(): Promise<void> } {
  const end = new AbortController();
  const pids = `{${workers.map((worker) => worker.pid).join(",")}}`;
  const watch = async (): Promise<void> => {
    for (;;) {
      await rest(500, end.signal);
      if (end.signal.aborted) return;
      const rows = await observer.rows(Row, PROGRESS_SQL, [pids]);
      for (const { pid, percent } of rows) progress.seen(pid, percent);
      if (rows.length > 0) progress.report();
    }
  };
  // Watching is a courtesy: when its connection breaks the builds go on, and the count is still told.
  const running = watch().catch(() => end.abort());
  return {
    async stop() {
      end.abort();
      await running;
      await observer.end();
    },
  };
}

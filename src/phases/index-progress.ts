/** Index builds as the operator sees them: how many are done, and how far the current ones are. */
import { z } from "zod";
import type { Session } from "../pg/session.js";
import { rest } from "../sync/drain.js";
import type { PhaseContext } from "./phase.js";

/** Share of blocks scanned, else of tuples loaded; null in a step that counts neither. PostgreSQL 12 and later. */
const PROGRESS_SQL = /*sql*/ `
SELECT pid::text AS pid,
       round(100.0 * CASE WHEN blocks_total > 0 THEN blocks_done::numeric / blocks_total
                          WHEN tuples_total > 0 THEN tuples_done::numeric / tuples_total END)::text AS percent
  FROM pg_stat_progress_create_index WHERE pid = ANY ($1::int[])`;

const Row = z.object({ pid: z.coerce.number(), percent: z.string().nullable() });

export class BuildProgress {
  readonly #context: PhaseContext;
  readonly #total: number;
  readonly #current = new Map<number, { name: string; percent: string | null }>();
  readonly #started = performance.now();
  #built = 0;

  constructor(context: PhaseContext, total: number) {
    this.#context = context;
    this.#total = total;
    this.report();
  }

  begin(pid: number, name: string): void {
    this.#current.set(pid, { name, percent: null });
    this.report();
  }

  built(pid: number): void {
    this.#current.delete(pid);
    this.#built += 1;
    this.report();
  }

  /** What the server says of the build on backend `pid`. */
  seen(pid: number, percent: string | null): void {
    const build = this.#current.get(pid);
    if (build !== undefined) build.percent = percent;
  }

  report(): void {
    const seconds = (performance.now() - this.#started) / 1000;
    this.#context.emit({
      event: "index",
      built: this.#built,
      total: this.#total,
      current: [...this.#current.values()].map((b) =>
        b.percent === null ? b.name : `${b.name} ${b.percent}%`,
      ),
      secondsLeft:
        this.#built > 0 && seconds >= 1 ? ((this.#total - this.#built) * seconds) / this.#built : null,
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

/**
 * Does each job once when it is due, by the database's clock, whoever else serves the same database. What came due while
 * nobody was there is done once, the latest of it. A run whose process died is taken up again by the next look.
 */
import { z } from "zod";
import { withSession } from "../api.js";
import { MaintenanceBusy } from "../care/alone.js";
import { asPartwayError, messageOf, PartwayError } from "../errors.js";
import { CannotConnect } from "../pg/connect-failure.js";
import type { Session } from "../pg/session.js";
import type { Target } from "../pg/target.js";
import { type Job, lastUntil, nextAfter } from "./settings.js";
import { databaseNow, JOBS_SQL, type JobOutcome, MOST_ATTEMPTS, makeJobStore, readSince } from "./store.js";

/** What a job came to; its failure is thrown. */
export interface JobResult {
  outcome: Exclude<JobOutcome, "failed">;
  message: string;
}

export type SchedulerEvent =
  | { event: "job:started"; job: string; scheduledFor: string; attempt: number }
  | { event: "job:ended"; job: string; scheduledFor: string; outcome: JobOutcome; message: string }
  | { event: "job:withdrawn"; job: string; scheduledFor: string }
  | { event: "scheduler:trouble"; message: string };

export interface SchedulerOptions {
  target: Target;
  jobs: readonly Job[];
  catchUp: boolean;
  /** Who runs them, for people. */
  runner: string;
  run(job: Job, signal: AbortSignal): Promise<JobResult>;
  tell(event: SchedulerEvent): void;
  /** Instead of the database's clock, for tests. */
  clock?: ((session: Session) => Promise<Date>) | undefined;
  /** Between tries while other maintenance runs, ms. */
  busyMs?: number | undefined;
}

/** At most so long between two looks, ms: for a clock that is set, and for what a dead process has left. */
const LOOK_MS = 60_000;
/** After a look that failed. */
const TROUBLE_MS = 10_000;
const BUSY_MS = 5_000;
/** So many tries are ten minutes. */
const BUSY_TRIES = 120;

export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #clock: (session: Session) => Promise<Date>;
  readonly #stop = new AbortController();
  /** Jobs that this process has begun or will. */
  readonly #under = new Map<string, Promise<void>>();
  /** Maintenance is one at a time: what is due waits for its turn here. */
  #turn: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | null = null;
  #ready = false;
  /** When this process looked first. */
  #firstLook: Date | null = null;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? databaseNow;
  }

  /** The jobs at work, or waiting for their turn, in this process. */
  get running(): ReadonlySet<string> {
    return new Set(this.#under.keys());
  }

  /** Looks now, and from now on when something is due. Errors of a look are told, and it is tried again. */
  start(): void {
    void this.#lookAgain();
  }

  /** Nothing more is begun; what runs ends at its next safe point. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error("the service is stopping"));
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.settled();
  }

  /** When nothing is at work any more. */
  async settled(): Promise<void> {
    while (this.#under.size > 0) await Promise.all(this.#under.values());
  }

  async #lookAgain(): Promise<void> {
    const wait = await this.look().catch((error: unknown) => {
      this.#options.tell({ event: "scheduler:trouble", message: messageOf(error) });
      return TROUBLE_MS;
    });
    if (this.#stop.signal.aborted) return;
    this.#timer = setTimeout(() => void this.#lookAgain(), wait);
  }

  /** Begins what is due. Gives the time until the next look, ms. Errors: the database cannot be asked. */
  async look(): Promise<number> {
    const { target, jobs, catchUp } = this.#options;
    return withSession(target, async (session) => {
      const now = await this.#clock(session);
      if (!this.#ready) await makeJobStore(session);
      if (!this.#ready)
        for (const { name, cron } of jobs)
          await session.query(JOBS_SQL.know, [name, cron, now.toISOString()]);
      this.#ready = true;
      this.#firstLook ??= now;
      const names = jobs.map(({ name }) => name);
      await session.query(JOBS_SQL.settle, [names, now.toISOString()]);
      const since = await readSince(session, names, now);
      for (const job of jobs) {
        const due = dueAt(job, since.get(job.name) ?? now, now, catchUp ? null : this.#firstLook);
        if (due !== null) this.#begin(job, due);
      }
      const next = jobs.flatMap(({ cron }) => nextAfter(cron, now)?.getTime() ?? []);
      return Math.max(100, Math.min(LOOK_MS, ...next.map((at) => at - now.getTime())));
    });
  }

  #begin(job: Job, due: Date): void {
    if (this.#under.has(job.name) || this.#stop.signal.aborted) return;
    const { tell } = this.#options;
    const work = () =>
      this.#once(job, due).catch((error: unknown) => {
        tell({ event: "scheduler:trouble", message: `${job.name}: ${messageOf(error)}` });
      });
    const ended = job.kind === "health" ? work() : this.#turn.then(work);
    if (job.kind !== "health") this.#turn = ended;
    this.#under.set(
      job.name,
      ended.finally(() => this.#under.delete(job.name)),
    );
  }

  /** Under the job's lock: claims the run, does it, writes down what it came to. Does nothing when another has it. */
  async #once(job: Job, due: Date): Promise<void> {
    const { target, runner, tell } = this.#options;
    const at = due.toISOString();
    const { signal } = this.#stop;
    if (signal.aborted) return;
    await withSession(target, async (session) => {
      const { held } = await session.one(z.object({ held: z.string() }), JOBS_SQL.lock, [job.name]);
      if (held !== "true") return;
      // Whoever had the lock before may have done it, or a later one.
      const since = (await readSince(session, [job.name], await this.#clock(session))).get(job.name);
      if (since !== undefined && since >= due) return;
      const attempt = await session.tx(async () => {
        const started = (await this.#clock(session)).toISOString();
        await session.query(JOBS_SQL.supersede, [job.name, at, started]);
        const Claimed = z.object({ attempts: z.coerce.number() });
        return session.maybe(Claimed, JOBS_SQL.claim, [job.name, at, started, runner]);
      });
      if (attempt === null) return;
      tell({ event: "job:started", job: job.name, scheduledFor: at, attempt: attempt.attempts });
      const { outcome, message } =
        attempt.attempts > MOST_ATTEMPTS ? GIVEN_UP : await this.#patiently(job, signal);
      if (outcome === "withdrawn") {
        await session.query(JOBS_SQL.letGo, [job.name, at, message]);
        tell({ event: "job:withdrawn", job: job.name, scheduledFor: at });
        return;
      }
      const write = async (on: Session): Promise<void> => {
        const finished = (await this.#clock(on)).toISOString();
        await on.query(JOBS_SQL.finish, [job.name, at, finished, outcome, message]);
        await on.query(JOBS_SQL.prune, [job.name]);
      };
      // Idle while the job was at work, the connection may have been cut; what was done must not be done again for that.
      await (session.lost ? withSession(target, write) : write(session));
      tell({ event: "job:ended", job: job.name, scheduledFor: at, outcome, message });
    });
  }

  /** Waits while other maintenance is at work, ten minutes at most; then it is withdrawn, to be taken up by the next look. */
  async #patiently(
    job: Job,
    signal: AbortSignal,
  ): Promise<{ outcome: JobOutcome | "withdrawn"; message: string }> {
    for (let tries = 1; ; tries++)
      try {
        return await this.#options.run(job, signal);
      } catch (error) {
        if (signal.aborted) return { outcome: "withdrawn", message: "withdrawn: the service was stopped" };
        const isBusy = error instanceof MaintenanceBusy;
        if (!isBusy && !(error instanceof CannotConnect && error.passes))
          return { outcome: "failed", message: failureText(error) };
        // Not its failure: the next look takes it up again.
        if (!isBusy || tries >= BUSY_TRIES) return { outcome: "withdrawn", message: failureText(error) };
        await pause(this.#options.busyMs ?? BUSY_MS, signal);
      }
  }
}

const GIVEN_UP = {
  outcome: "failed",
  message: `given up: ${MOST_ATTEMPTS} processes have died over it`,
} as const;

/** The latest time that has come and is not done; `from`: what came due up to then is let go. */
export function dueAt({ cron }: Pick<Job, "cron">, since: Date, now: Date, from: Date | null): Date | null {
  const last = lastUntil(cron, now);
  if (last === null || last <= since) return null;
  return from !== null && last < from ? null : last;
}

function failureText(error: unknown): string {
  const known = asPartwayError(error, "", "");
  return known instanceof PartwayError && known.next !== ""
    ? `${known.message}; ${known.state} Next: ${known.next}`
    : known.message;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    if (signal.aborted) done();
    else signal.addEventListener("abort", done, { once: true });
  });
}

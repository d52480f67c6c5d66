/** What the API, the page and the metrics ask of the database, over the care's own API. */

import type { z } from "zod";
import { withSession } from "../api.js";
import type { HealthStatus } from "../care/health.js";
import { readCareTable } from "../care/table.js";
import { type MaintainOptions, type MaintainOutcome, maintain } from "../care.js";
import { UnknownTable } from "../errors.js";
import type { Session } from "../pg/session.js";
import type { Target } from "../pg/target.js";
import { analyze, type UpkeepOutcome, vacuum } from "../upkeep.js";
import { version } from "../version.js";
import { inCare, type LeafView, readOverview, type TableView } from "./overview.js";
import { nextAfter, type ServeSettings } from "./settings.js";
import type { BODY, HealthAnswer, ListAnswer, StatusAnswer } from "./shapes.js";
import { databaseNow, type JobRun, readRuns } from "./store.js";

export interface DeskOptions {
  target: Target;
  url: string | undefined;
  settings: ServeSettings;
  /** Jobs at work in this process. */
  running(): ReadonlySet<string>;
  signal: AbortSignal;
  onNote: MaintainOptions["onNote"];
  /** Instead of the database's clock, for tests. */
  clock?: ((session: Session) => Promise<Date>) | undefined;
}

type Body<K extends keyof typeof BODY> = z.output<(typeof BODY)[K]>;

/** What page and metrics show, read together. */
export interface Overview {
  tables: TableView[];
  status: StatusAnswer;
  runs: JobRun[];
}

/** A page that many look at, and scrapes, cost the database one reading in so many ms. */
const FRESH_MS = 5_000;
/** A look waits so long for a leaf that somebody has locked, ms: even its size needs a lock. */
const LOOK_LOCK_MS = 2_000;
/** Runs of each job on the page. */
const SHOWN_RUNS = 10;

export class Desk {
  readonly #options: DeskOptions;
  #overview: { at: number; pending: boolean; read: Promise<Overview> } | null = null;

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  health(): Promise<HealthAnswer> {
    return this.#read(async (session, now) => healthAnswer(await this.#views(session, now)));
  }

  /** Errors: `UnknownTable`. */
  list(table: string | undefined): Promise<ListAnswer> {
    return this.#read(async (session, now) => {
      const views = await this.#views(session, now, table);
      return { partitions: views.flatMap((view) => view.leaves.map((leaf) => listed(view, leaf))) };
    });
  }

  status(): Promise<StatusAnswer> {
    return this.#read(async (session, now) => this.#status(now, await readRuns(session, 1)));
  }

  /** At most one reading at a time, and one in `FRESH_MS`: a locked leaf must not cost a connection a scrape. */
  overview(): Promise<Overview> {
    const known = this.#overview;
    if (known !== null && (known.pending || performance.now() - known.at < FRESH_MS)) return known.read;
    const read = this.#read(async (session, now) => {
      const runs = await readRuns(session, SHOWN_RUNS);
      return { tables: await this.#views(session, now), status: this.#status(now, runs), runs };
    });
    const mine = { at: performance.now(), pending: true, read };
    this.#overview = mine;
    read.then(
      () => {
        mine.pending = false;
      },
      () => {
        // Whoever asked has the error; the next one asks anew.
        if (this.#overview === mine) this.#overview = null;
      },
    );
    return read;
  }

  async maintenance({ table, dryRun }: Body<"maintenance">): Promise<MaintainOutcome[]> {
    return this.#maintain(table, dryRun ? { dryRun } : { apply: true });
  }

  async create({ table, monthsAhead, dryRun }: Body<"create">): Promise<MaintainOutcome[]> {
    return this.#maintain(table, { dryRun, steps: ["create"], monthsAhead });
  }

  async cleanup({ table, retentionMonths, dryRun }: Body<"cleanup">): Promise<MaintainOutcome[]> {
    const retention = retentionMonths === undefined ? undefined : `${retentionMonths}mo`;
    const mode = dryRun ? { dryRun } : { apply: true };
    return this.#maintain(table, { ...mode, steps: ["retire"], retention });
  }

  analyze({ table }: Body<"analyze">): Promise<UpkeepOutcome[]> {
    return analyze({ ...this.#connection(), tables: [table] });
  }

  vacuum({ table, full }: Body<"vacuum">): Promise<UpkeepOutcome[]> {
    return vacuum({ ...this.#connection(), tables: [table], full });
  }

  async #maintain(
    table: string | undefined,
    how: Omit<Parameters<typeof maintain>[0], "url" | "tables" | "signal" | "now" | "onNote">,
  ): Promise<MaintainOutcome[]> {
    const { clock, onNote } = this.#options;
    const tables = table === undefined ? [] : [table];
    const now = clock === undefined ? undefined : clockText(await this.#read(async (_, time) => time));
    return (await maintain({ ...this.#connection(), ...how, tables, now, onNote })).tables;
  }

  #connection(): { url: string | undefined; signal: AbortSignal } {
    const { url, signal } = this.#options;
    return { url, signal };
  }

  #read<T>(work: (session: Session, now: Date) => Promise<T>): Promise<T> {
    const { target, clock = databaseNow } = this.#options;
    return withSession(target, async (session) => {
      await session.query(`SET lock_timeout = ${LOOK_LOCK_MS}`);
      return work(session, await clock(session));
    });
  }

  /** Of the table named, or of all in care. Errors: `UnknownTable`. */
  async #views(session: Session, now: Date, named?: string): Promise<TableView[]> {
    const all = await inCare(session);
    const time = this.#options.clock === undefined ? undefined : clockText(now);
    if (named === undefined) return readOverview(session, all, time);
    const { oid } = await readCareTable(session, { typed: named });
    const one = all.find((row) => row.oid === oid);
    if (one === undefined)
      throw new UnknownTable(`${named} is not in care: it has no policy`, `partway adopt ${named}`);
    return readOverview(session, [one], time);
  }

  #status(now: Date, runs: readonly JobRun[]): StatusAnswer {
    const { settings, running } = this.#options;
    const { jobs, schedulerOff, catchUp } = settings;
    return {
      scheduler: { enabled: schedulerOff === null, reason: schedulerOff, catchUp },
      timeZone: "UTC",
      now: now.toISOString(),
      jobs: jobs.map(({ name, cron, kind, tables, apply }) => ({
        ...{ name, schedule: cron, run: kind, tables: [...tables], apply },
        running: running().has(name),
        nextRun: schedulerOff === null ? (nextAfter(cron, now)?.toISOString() ?? null) : null,
        lastRun: runs.find(({ job }) => job === name) ?? null,
      })),
      version: version(),
    };
  }
}

/** As the care takes a clock. */
export function clockText(now: Date): string {
  return now.toISOString().slice(0, 19).replace("T", " ");
}

const WORST: readonly HealthStatus[] = ["CRITICAL", "WARNING", "NO_PARTITIONS", "CLEANUP_NEEDED"];

function healthAnswer(views: readonly TableView[]): HealthAnswer {
  const worst = WORST.find((status) => views.some(({ health }) => health.status === status));
  return {
    status: worst ?? "HEALTHY",
    tables: views.map(({ table, health, leaves, pendingCleanup }) => {
      const date = (name: string | null) => leaves.find(({ partition }) => partition === name)?.from ?? null;
      return {
        ...{ table, status: health.status, totalPartitions: health.leaves, totalRows: health.rows },
        ...{ totalBytes: health.bytes, oldestPartition: health.oldest, oldestDate: date(health.oldest) },
        ...{ newestPartition: health.newest, newestDate: date(health.newest), pendingCleanup },
        ...{ interval: health.interval, coveredUntil: health.coveredUntil },
        ...{ lastMaintenance: health.lastMaintenance, findings: health.findings },
      };
    }),
  };
}

function listed({ table }: TableView, leaf: LeafView): ListAnswer["partitions"][number] {
  return { table, ...leaf, partitionDate: leaf.from };
}

/**
 * A migration stepped phase by phase in the test's own process: a real plan, its row in the database, a lease, and
 * contexts whose records and events stay in memory. `before` lets a test act exactly between two statements.
 */
import { z } from "zod";
import { fingerprint } from "../../src/catalog/fingerprint.js";
import { readTable } from "../../src/catalog/read.js";
import { survey } from "../../src/catalog/survey.js";
import { readWalFacts } from "../../src/catalog/wal.js";
import { parseRequest, type RawOptions } from "../../src/config/request.js";
import { parseThrottle } from "../../src/config/throttle.js";
import { runEffect } from "../../src/engine/effects.js";
import { PartwayError } from "../../src/errors.js";
import { type Lease, takeLease } from "../../src/pg/lease.js";
import { Session } from "../../src/pg/session.js";
import type { PhaseContext, PhaseRecord, Settings } from "../../src/phases/phase.js";
import { hasFallback } from "../../src/plan/fallback.js";
import { makePlan } from "../../src/plan/index.js";
import type { Plan } from "../../src/plan/types.js";
import { type Direction, pairList, type Sides, sidesOf } from "../../src/sync/pairs.js";
import { makeStored, mustReadStored, type StoredMigration } from "../../src/sync/store.js";
import type { RunEventBody } from "../../state/events.js";
import type { Working } from "../../state/machine.js";
import { type TestDatabase, targetOf } from "./database.js";

/** One worker and small batches, so that what happens between two batches is the test's choice. */
const SETTINGS: Settings = {
  workers: 1,
  workersWhy: null,
  batchBlocks: 4,
  batchTimeMs: 0,
  lockTimeoutMs: 100,
  lockTimeoutMaxMs: 1000,
  lockTries: 30,
  holdBudgetMs: 10_000,
  backupDir: null,
  forceDrop: false,
  rehearse: null,
  repair: false,
  hooks: [],
  hookTimeoutMs: 60_000,
  smoke: [],
  smokeFailure: "report",
  queries: [],
  onHangup: "stop",
  throttle: parseThrottle({ maxReplicaLag: "off" }),
};

/** The clock of every plan here, unless a test says otherwise: the number of leaves must not depend on the day. */
const NOW = "2025-12-15T00:00:00Z";

export interface MigrationOptions extends RawOptions {
  /** As typed; default `public.orders`. */
  table?: string;
  /** The database clock that the plan believes in, ISO 8601. */
  now?: string;
  settings?: Partial<Settings>;
}

type Recorded<K extends keyof PhaseRecord> = Parameters<PhaseRecord[K]>[0];
export type EventOf<K extends RunEventBody["event"]> = Extract<RunEventBody, { event: K }>;

export interface Records {
  batches: Recorded<"batch">[];
  indexes: Recorded<"indexBuilt">[];
  validations: Recorded<"validation">[];
  cutovers: Recorded<"cutover">[];
  measurements: Recorded<"measurement">[];
}

const KINDS = ["batches", "indexes", "validations", "cutovers", "measurements"] as const;

interface Hook {
  matches: RegExp;
  left: number;
  work(session: Session, sql: string): Promise<void>;
}

/** Plans the table, writes the migration's row, takes the lease. Refusals of the plan are the test's mistake. */
export async function startMigration(db: TestDatabase, options: MigrationOptions): Promise<TestMigration> {
  const session = await db.session();
  const made = await planFor(session, options);
  if (made.refusals.length > 0)
    throw new Error(`the plan refuses: ${made.refusals.map((r) => `${r.code}: ${r.what}`).join("; ")}`);
  await makeStored(session, made);
  const lease = await leaseFor(db, made.id);
  return new TestMigration(db, session, made, lease, { ...SETTINGS, ...options.settings });
}

let planned = 0;

/** The plan alone, made as `partway plan` makes it, refusals included. */
export async function planFor(session: Session, options: MigrationOptions): Promise<Plan> {
  const { table: name = "public.orders", now = NOW, settings, ...raw } = options;
  void settings;
  const request = parseRequest(name, raw);
  const table = await readTable(session, request.table);
  planned += 1;
  return makePlan({
    table,
    survey: {
      ...(await survey(session, table, request.scheme, hasFallback(request))),
      ...(request.capture === "wal" ? { wal: await readWalFacts(session) } : {}),
      now,
    },
    request,
    fingerprint: await fingerprint(session, table.oid),
    id: `test_${planned}_${process.pid}`,
    nonce: `nonce_${planned}_${process.pid}`,
  });
}

async function leaseFor(db: TestDatabase, migration: string): Promise<Lease> {
  const [session, helper] = [await db.session(), await db.session()];
  return takeLease({ session, helper, migration, takeover: true });
}

export class TestMigration {
  readonly db: TestDatabase;
  /** The owner's session: for looking, and for being the application. */
  readonly session: Session;
  readonly plan: Plan;
  readonly settings: Settings;
  lease: Lease;
  readonly events: RunEventBody[] = [];
  readonly records: Records = { batches: [], indexes: [], validations: [], cutovers: [], measurements: [] };
  #hooks: Hook[] = [];

  constructor(db: TestDatabase, session: Session, plan: Plan, lease: Lease, settings: Settings) {
    this.db = db;
    this.session = session;
    this.plan = plan;
    this.lease = lease;
    this.settings = settings;
  }

  /** Live, lagging and log, quoted and qualified. */
  sides(direction: Direction = "forward"): Sides {
    return sidesOf(this.plan, direction);
  }

  stored(): Promise<StoredMigration> {
    return mustReadStored(this.session, this.plan.id);
  }

  /** Events of one kind, in order. */
  seen<K extends RunEventBody["event"]>(kind: K): EventOf<K>[] {
    return this.events.filter((event): event is EventOf<K> => event.event === kind);
  }

  /**
   * Runs `work` right before the next `times` statements that match, sent by any session a phase opens from now on
   * or has opened through `context()`. The statement is sent when `work` has resolved.
   */
  before(matches: RegExp, work: Hook["work"], times = 1): void {
    this.#hooks.push({ matches, work, left: times });
  }

  /** The same migration where it stands, in a copy of the database; this one is only there to be copied from then on. */
  async copy(): Promise<TestMigration> {
    const db = await this.db.copy();
    const session = await db.session();
    const lease = await leaseFor(db, this.plan.id);
    const copied = new TestMigration(db, session, this.plan, lease, this.settings);
    copied.events.push(...this.events);
    for (const kind of KINDS) Object.assign(copied.records, { [kind]: [...this.records[kind]] });
    return copied;
  }

  /** Another orchestrator: takes the lease (bumps the epoch) as a resume does. */
  async takeOver(): Promise<void> {
    this.lease = await leaseFor(this.db, this.plan.id);
  }

  /** A context as a phase gets it, and the end of it: `close` gives every connection back. */
  context(
    settings: Partial<Settings> = {},
    stop = new AbortController(),
  ): PhaseContext & { close(): Promise<void> } {
    const opened: Session[] = [];
    const { records } = this;
    return {
      plan: this.plan,
      settings: { ...this.settings, ...settings },
      target: targetOf(this.db.ownerUrl),
      open: async () => {
        const session = await Session.open(targetOf(this.db.ownerUrl));
        opened.push(session);
        this.#intercept(session);
        return session;
      },
      lease: this.lease,
      record: {
        batch: (row) => void records.batches.push(row),
        indexBuilt: (row) => void records.indexes.push(row),
        validation: (row) => void records.validations.push(row),
        cutover: (row) => void records.cutovers.push(row),
        measurement: (row) => void records.measurements.push(row),
      },
      emit: (event) => void this.events.push(event),
      signal: stop.signal,
      gate: async () => stop.signal.throwIfAborted(),
      heavy: async () => stop.signal.throwIfAborted(),
      follower: async () => stop.signal.throwIfAborted(),
      close: async () => {
        await Promise.all(opened.map((session) => session.end()));
      },
    };
  }

  /** Runs one phase (or `rollback`, `abort`, `ready`) once, from wherever the database stands. */
  async run(state: Working, settings: Partial<Settings> = {}, stop = new AbortController()): Promise<void> {
    const context = this.context(settings, stop);
    try {
      await runEffect(state, context, { hold: false });
    } finally {
      await context.close();
    }
  }

  /** Runs the phases from where the database stands up to and with `last`; a copy that starts again does. */
  async through(last: Working, settings: Partial<Settings> = {}): Promise<void> {
    const order: Working[] = ["shadow", "copy", "index", "validate", "cutover"];
    for (;;) {
      const { phase } = await this.stored();
      const next = order.find((state) => state === phase);
      if (next === undefined || order.indexOf(next) > order.indexOf(last)) return;
      try {
        await this.run(next, settings);
      } catch (error) {
        if (!(error instanceof PartwayError) || error.kind !== "copy-restart") throw error;
      }
    }
  }

  /** The change log: sequence number, operation, and the pair as text (`(7,"2025-01-01 00:00:00+00")`), in order. */
  log(direction: Direction = "forward"): Promise<{ seq: string; op: string; pair: string }[]> {
    const { log } = this.sides(direction);
    return this.session.rows(
      z.object({ seq: z.string(), op: z.string(), pair: z.string() }),
      `SELECT partway_seq::text AS seq, partway_op::text AS op, ROW(${pairList(this.plan)})::text AS pair
         FROM ${log} ORDER BY partway_seq`,
    );
  }

  /** Rows (whole, as text) of the live side that the lagging side lacks, and the other way round; duplicates count. */
  async difference(direction: Direction = "forward"): Promise<{ missing: string[]; extra: string[] }> {
    const { live, lagging } = this.sides(direction);
    const except = async (a: string, b: string) =>
      (
        await this.session.rows(
          z.object({ row: z.string() }),
          `SELECT t::text AS row FROM ${a} AS t EXCEPT ALL SELECT t::text FROM ${b} AS t ORDER BY 1`,
        )
      ).map(({ row }) => row);
    return { missing: await except(live, lagging), extra: await except(lagging, live) };
  }

  #intercept(session: Session): void {
    const send = session.query.bind(session);
    session.query = async (sql, params, name) => {
      for (const hook of this.#hooks) {
        if (hook.left === 0 || !hook.matches.test(sql)) continue;
        hook.left -= 1;
        await hook.work(session, sql);
      }
      return send(sql, params, name);
    };
  }
}

/** What `difference` says when nothing is lost and nothing is too much. */
export const SAME = { missing: [], extra: [] };

/**
 * `public.orders`: an identity key, `created_at` over the months of 2025 in the order of the ids, a nullable note,
 * and enough bytes in a row that 1,000 rows fill about 60 blocks.
 */
export async function createOrders(session: Session, rows: number): Promise<void> {
  await session.query(`CREATE TABLE public.orders (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL,
    note text,
    amount numeric NOT NULL DEFAULT 0,
    filler text NOT NULL DEFAULT repeat('x', 400))`);
  await session.query(
    `INSERT INTO public.orders (created_at, note, amount)
     SELECT timestamptz '2025-01-01 00:00:00+00' + (n - 1) * (interval '364 days' / $1::int), 'note ' || n, n
       FROM generate_series(1, $1::int) AS n`,
    [rows],
  );
}

/** Resolves when backend `pid` waits for a lock that somebody else holds: asks until it does. */
export async function untilBlocked(observer: Session, pid: number): Promise<void> {
  for (;;) {
    const { blocked } = await observer.one(
      z.object({ blocked: z.string() }),
      "SELECT (cardinality(pg_blocking_pids($1::int)) > 0)::text AS blocked, pg_sleep(0.005)::text AS pause",
      [pid],
    );
    if (blocked === "true") return;
  }
}

/** One column of one row, as text. */
export async function value(
  session: Session,
  sql: string,
  params: readonly string[] = [],
): Promise<string | null> {
  const { rows } = await session.query(sql, [...params]);
  return Object.values(rows[0] ?? {})[0] ?? null;
}

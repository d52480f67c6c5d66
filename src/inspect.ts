/** Looking at migrations without driving them: list, status, verify. Part of the programmatic interface. */
import { z } from "zod";
import type { Outcome } from "../state/events.js";
import { createViewStore } from "../state/fold.js";
import type { Journal } from "../state/journal.js";
import type { MigrationRecord } from "../state/journal-rows.js";
import type { Working } from "../state/machine.js";
import { emptyView, type RunView } from "../state/view.js";
import { type ConnectOptions, type StateOptions, targetOf, withSession } from "./api.js";
import { parseSettings } from "./config/request.js";
import { drivenElsewhere } from "./engine/other-process.js";
import { openJournal, pickMigration } from "./engine/state-dir.js";
import { positionOf, readPlan } from "./engine/stored-plan.js";
import { messageOf, PartwayError } from "./errors.js";
import { steppingAside, waiterBehind } from "./pg/aside.js";
import { qualified } from "./pg/quote.js";
import { Session } from "./pg/session.js";
import type { Target } from "./pg/target.js";
import { different, findDifferences } from "./phases/validate.js";
import type { Likeness, Stage } from "./plan/likeness.js";
import type { Plan } from "./plan/types.js";
import { backlog, TruncateSeen } from "./sync/apply.js";
import { type Comparison, compareSides } from "./sync/compare.js";
import { oidOf } from "./sync/leaves.js";
import { compareCatalog } from "./sync/likeness.js";
import { sidesOf } from "./sync/pairs.js";
import { mustReadStored, readStored, type StoredMigration } from "./sync/store.js";
import { nameHolder } from "./sync/swap.js";
import { verdict } from "./sync/verdict.js";
import { readsWal } from "./wal/identity.js";
import { type SlotStatus, slotStatus } from "./wal/slot.js";

export interface ListedMigration {
  id: string;
  table: string;
  server: string;
  state: string;
  outcome: Outcome | null;
  createdAt: string;
  updatedAt: string;
}

/** Every migration in the journal, newest first. */
export function list(options: StateOptions): ListedMigration[] {
  const journal = openJournal(options.state);
  try {
    return journal.migrations().map(({ id, table, server, state, outcome, createdAt, updatedAt }) => ({
      id,
      table,
      server,
      state,
      outcome,
      createdAt,
      updatedAt,
    }));
  } finally {
    journal.close();
  }
}

export interface StatusReport extends ListedMigration {
  /** Where the run goes on. */
  position: Working;
  /** The process that drives it, when one is alive. */
  driver: { pid: number; host: string } | null;
  view: RunView;
  /** What the database says now. */
  database: DatabaseStatus;
  /** The command to type next. */
  next: string;
}

export type DatabaseStatus =
  | { reachable: false; why: string }
  | { reachable: true; known: false }
  | {
      reachable: true;
      known: true;
      phase: string;
      keysBehind: number | null;
      cutoverAt: string | null;
      deadline: string | null;
      secondsLeft: number | null;
      rollbackSafe: boolean | null;
      verdict: string | null;
      /** Only with capture from the write-ahead log, while its replication slot stands. */
      slot: SlotStatus | null;
    };

/** Where one migration stands, by the journal and by the database. */
export async function status(
  options: ConnectOptions & StateOptions & { id?: string | undefined },
): Promise<StatusReport> {
  const journal = openJournal(options.state);
  try {
    const record = pickMigration(journal, options.id, true);
    const database = await databaseStatus(options, readPlan(record));
    return {
      id: record.id,
      table: record.table,
      server: record.server,
      state: record.state,
      outcome: record.outcome,
      createdAt: record.createdAt,
      updatedAt: record.updatedAt,
      position: positionOf(record),
      driver:
        drivenElsewhere(record) && record.owner !== null
          ? { pid: record.owner.pid, host: record.owner.host }
          : null,
      view: viewOf(journal, record),
      database,
      next: nextCommand(record, database),
    };
  } finally {
    journal.close();
  }
}

/** The view of a migration, folded from the journal's events. */
export function viewOf(journal: Journal, record: MigrationRecord): RunView {
  const { id, table, server, createdAt } = record;
  const store = createViewStore(emptyView({ migration: id, table, server, startedAt: createdAt }));
  for (const { event } of journal.events(id)) store.push(event);
  return store.current();
}

function nextCommand(record: MigrationRecord, database: DatabaseStatus): string {
  const { id, outcome } = record;
  if (outcome === "done" || outcome === "rolled-back" || outcome === "aborted")
    return "Nothing: it has ended.";
  if (drivenElsewhere(record)) return "Nothing: a process is running it.";
  if (outcome === "ready-for-cutover") return `partway cutover ${id}`;
  if (database.reachable && database.known && database.phase === "retain") {
    const open = (database.secondsLeft ?? 0) > 0;
    return open ? `partway resume ${id} --hold, or partway rollback ${id}` : `partway finalize ${id}`;
  }
  return `partway resume ${id}`;
}

async function databaseStatus(options: ConnectOptions, plan: Plan): Promise<DatabaseStatus> {
  try {
    return await withSession(await targetOf(options), async (session) => {
      const stored = await readStored(session, plan.id);
      return stored === null ? { reachable: true, known: false } : knownStatus(session, plan, stored);
    });
  } catch (error) {
    return { reachable: false, why: messageOf(error) };
  }
}

const Present = z.object({ oid: z.string().nullable() });

async function knownStatus(session: Session, plan: Plan, stored: StoredMigration): Promise<DatabaseStatus> {
  const inWindow = stored.phase === "retain";
  const { log } = sidesOf(plan, inWindow ? "reverse" : "forward");
  const { oid } = await session.one(Present, "SELECT to_regclass($1)::oid::text AS oid", [log]);
  const now = inWindow ? await verdict(session, plan, stored) : null;
  return {
    reachable: true,
    known: true,
    phase: stored.phase,
    keysBehind: now?.keysBehind ?? (oid === null ? null : await backlog(session, log)),
    cutoverAt: stored.cutoverAt,
    deadline: stored.deadline,
    secondsLeft: stored.secondsLeft,
    rollbackSafe: now?.safe ?? null,
    verdict: now?.sentence ?? null,
    slot: readsWal(plan) ? await slotStatus(session, plan) : null,
  };
}

/** The sides differ because one was emptied and the other not yet: that is no difference to report. */
function notFollowed(plan: Plan): PartwayError {
  return new PartwayError("refused", {
    what: `${plan.names.schema}.${plan.names.source} was truncated and the other side has not followed yet: there is nothing to compare`,
    state: "Nothing is lost: the TRUNCATE stands in the change log. verify only reads.",
    next: `partway resume ${plan.id} follows it; then: partway verify ${plan.id}`,
  });
}

/** Changes that nobody has read from the slot yet would be taken for differences, and only the run may read it. */
function notRead(plan: Plan): PartwayError {
  return new PartwayError("refused", {
    what: `${plan.id} reads its changes from the write-ahead log: until the cutover, only the run itself knows which are still to be read`,
    state: "Nothing was compared. verify only reads.",
    next: `partway resume ${plan.id} --until validate compares; after the cutover partway verify ${plan.id} does.`,
  });
}

/**
 * Validates again, at any time from `validate` on, also while another process runs the migration: reads only, and
 * leaves out the pairs in the change log. Errors: `difference` naming leaf and key;
 * `refused` after a TRUNCATE that the other side has not followed.
 */
export async function verify(
  options: ConnectOptions & StateOptions & { id?: string | undefined; workers?: number | undefined },
): Promise<Comparison> {
  const journal = openJournal(options.state);
  const plan = (() => {
    try {
      return readPlan(pickMigration(journal, options.id));
    } finally {
      journal.close();
    }
  })();
  const target = await targetOf(options);
  const stillUnread = await withSession(target, async (session) => {
    const stored = readsWal(plan) ? await mustReadStored(session, plan.id) : null;
    return stored !== null && (await nameHolder(session, plan, stored.shadowOid)) !== "new";
  });
  if (stillUnread) throw notRead(plan);
  const { direction, partitionedOid } = await withSession(target, async (session) => {
    const stored = await mustReadStored(session, plan.id);
    const partitionedOid = stored.shadowOid ?? "0";
    const after = (await nameHolder(session, plan, stored.shadowOid)) === "new";
    return { direction: after ? ("reverse" as const) : ("forward" as const), partitionedOid };
  });
  const workers = options.workers ?? 2;
  return steppingAsideAlone(target, `partway verify ${plan.id}`, async (open, gate) => {
    const comparison = await compareSides({ plan, direction, partitionedOid, workers, open, gate }).catch(
      (error: unknown) => Promise.reject(error instanceof TruncateSeen ? notFollowed(plan) : error),
    );
    if (comparison.equal) return comparison;
    const { named } = await findDifferences(plan, comparison, partitionedOid, open);
    throw different(plan, comparison, named);
  });
}

export interface CatalogDiff extends Likeness {
  id: string;
  /** The table that was looked at, and what it is now. */
  table: string;
  stage: Stage;
}

/**
 * Compares the catalog: the source as the plan found it with the shadow, with the new table after cutover, or with the
 * old table again after a rollback. Reads only. Errors: `refused` when there is no second table (yet, or any more).
 */
export async function diff(
  options: ConnectOptions & StateOptions & { id?: string | undefined },
): Promise<CatalogDiff> {
  const journal = openJournal(options.state);
  const record = (() => {
    try {
      return pickMigration(journal, options.id, true);
    } finally {
      journal.close();
    }
  })();
  const plan = readPlan(record);
  const { schema, source, shadow } = plan.names;
  return withSession(await targetOf(options), async (session) => {
    const live = await oidOf(session, qualified(schema, source));
    const beside = await oidOf(session, qualified(schema, shadow));
    const back = record.outcome === "rolled-back" || record.outcome === "aborted";
    const found: [string | null, string, Stage] =
      live === plan.source.oid
        ? back
          ? [live, source, "source"]
          : [beside, shadow, "shadow"]
        : [live, source, "new"];
    const [oid, name, stage] = found;
    if (oid === null)
      throw new PartwayError("refused", {
        what: `there is no ${schema}.${name} to compare with the plan of ${plan.id}`,
        state: "diff only reads.",
        next: `partway status ${plan.id}`,
      });
    const alike = await compareCatalog(session, plan, oid, stage);
    return { id: plan.id, table: `${schema}.${name}`, stage, ...alike };
  });
}

/** Steps aside without an engine: nobody waits behind `partway verify` for longer than behind a run. */
async function steppingAsideAlone<T>(
  target: Target,
  command: string,
  work: (open: () => Promise<Session>, gate: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const opened = new Set<Session>();
  return withSession(target, (observer) => {
    const pids = () => [...opened].map((session) => session.pid);
    const aside = {
      what: "verify",
      next: command,
      afterMs: parseSettings({}).lockTimeoutMs,
      signal: new AbortController().signal,
      waiter: (ms: number) => waiterBehind(observer, pids(), ms),
      cancel: async () => {
        await observer.query("SELECT pg_cancel_backend(p) FROM unnest($1::int[]) AS p", [
          `{${pids().join(",")}}`,
        ]);
      },
      close: async () => {
        await Promise.all([...opened].map((session) => session.end()));
        opened.clear();
      },
      warn: (message: string) => process.emitWarning(message),
      trouble: (error: unknown) => process.emitWarning(messageOf(error)),
    };
    return steppingAside(aside, (signal) =>
      work(
        async () => {
          const session = await Session.open(target);
          opened.add(session);
          return session;
        },
        async () => signal.throwIfAborted(),
      ),
    );
  });
}

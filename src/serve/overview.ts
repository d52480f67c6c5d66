/** How the tables in care are, each with its leaves: read once for health, list, page and metrics. Reads only. */
import { expiredLeaves } from "../care/decide.js";
import { readBytes, readHealth } from "../care/facts.js";
import { textOf } from "../care/grid.js";
import { type HealthReport, healthOf } from "../care/health.js";
import { readPolicies, type StoredPolicy } from "../care/store.js";
import { type CareLeaf, type CareTable, readCareTable } from "../care/table.js";
import { messageOf } from "../errors.js";
import type { Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";

export interface LeafView {
  schema: string;
  partition: string;
  /** The lower bound; null where there is none, or it is no time or number. */
  from: string | null;
  to: string | null;
  bound: string;
  rows: number;
  bytes: number;
  lastAnalyze: string | null;
  lastVacuum: string | null;
  detachPending: boolean;
}

export interface TableView {
  /** As PostgreSQL prints it: `public.events`. */
  table: string;
  enabled: boolean;
  health: HealthReport;
  leaves: LeafView[];
  /** Expired leaves, and detached ones that were to be dropped. */
  pendingCleanup: number;
}

/** One table that cannot be read hides no other. */
export async function readOverview(
  session: Session,
  tables: readonly StoredPolicy[],
  now?: string,
): Promise<TableView[]> {
  const views: TableView[] = [];
  for (const stored of tables)
    views.push(
      await readView(session, stored, now).catch((error: unknown) => {
        if (session.lost) throw error;
        return unreadable(stored, error);
      }),
    );
  return views;
}

/** The tables in care that are there. */
export async function inCare(session: Session): Promise<StoredPolicy[]> {
  return (await readPolicies(session)).filter(({ isThere }) => isThere);
}

async function readView(session: Session, stored: StoredPolicy, now?: string): Promise<TableView> {
  const table = await readCareTable(session, { oid: stored.oid });
  const facts = await readHealth(session, table, stored, now);
  const bytes = await readBytes(session, table.oid);
  const expired = facts.now === null ? [] : expiredLeaves(table, facts.policy, facts.now, facts.restored);
  return {
    table: stored.shown,
    enabled: facts.policy.enabled,
    health: healthOf(facts),
    leaves: table.leaves.map((leaf) => leafView(table, leaf, bytes.get(leaf.oid) ?? 0)),
    pendingCleanup: expired.length + facts.leaving.length,
  };
}

function leafView({ axis }: CareTable, leaf: CareLeaf, bytes: number): LeafView {
  const { schema, name, range, boundText, rows, lastAnalyze, lastVacuum, pending } = leaf;
  const text = (at: { low: bigint } | null | undefined) =>
    axis === null || at === null || at === undefined ? null : textOf(axis, at.low);
  return {
    ...{ schema, partition: name, from: text(range?.from), to: text(range?.to), bound: boundText },
    ...{ rows, bytes, lastAnalyze, lastVacuum, detachPending: pending },
  };
}

function unreadable({ shown, policy }: StoredPolicy, error: unknown): TableView {
  const next = `partway health ${shown}`;
  // Somebody has a leaf locked just now: that passes, and nobody is to be woken for it.
  const level = sqlState(error) === SQLSTATE.lockNotAvailable ? "WARNING" : "CRITICAL";
  const finding = { level, code: "unreadable", what: messageOf(error), next } as const;
  return {
    ...{ table: shown, enabled: policy?.enabled ?? true, leaves: [], pendingCleanup: 0 },
    health: {
      ...{ table: shown, status: level, leaves: 0, rows: 0, bytes: 0, oldest: null, newest: null },
      ...{ interval: null, coveredUntil: null, lastMaintenance: null, findings: [finding] },
    },
  };
}

/** Walks the tables in their order: who may begin, who waits, who never comes to it. Knows nothing of how one is migrated. */
import { mayRunTogether, type Order, type TableEntry } from "./order.js";

/** passed: what waits for it may begin. failed: it does not. stopped: the operator stopped it, and nothing more begins. */
export type Step = "passed" | "failed" | "stopped";

export interface Walked {
  /** Tables that never began. */
  waiting: { table: TableEntry; for: readonly TableEntry[] }[];
}

/**
 * Calls `step` for each table when its turn comes. After a failure those go on that may run together with the table that
 * failed and do not depend on it; what had begun is always waited for. `stopped` ends the beginning of new ones. `step`
 * must not reject.
 */
export async function walk(
  order: Order,
  step: (table: TableEntry) => Promise<Step>,
  stopped: () => boolean,
): Promise<Walked> {
  const { tables, parallel } = order;
  const ended = new Map<TableEntry, Step>();
  const running = new Map<TableEntry, Promise<void>>();
  const isStopped = () => stopped() || [...ended.values()].includes("stopped");

  const mayBegin = (table: TableEntry): boolean =>
    obstacles(order, table, ended).length === 0 &&
    running.size < (parallel ?? Number.POSITIVE_INFINITY) &&
    [...running.keys()].every((other) => mayRunTogether(table, other, parallel));

  for (;;) {
    const next = isStopped()
      ? undefined
      : tables.find((table) => !ended.has(table) && !running.has(table) && mayBegin(table));
    if (next !== undefined) {
      const work = step(next).then((how) => {
        ended.set(next, how);
        running.delete(next);
      });
      running.set(next, work);
    } else if (running.size > 0) await Promise.race(running.values());
    else break;
  }
  const waiting = tables
    .filter((table) => !ended.has(table))
    .map((table) => ({ table, for: obstacles(order, table, ended) }));
  return { waiting };
}

/** The tables because of which `table` cannot begin yet; empty when only room is to be waited for. */
function obstacles(order: Order, table: TableEntry, ended: ReadonlyMap<TableEntry, Step>): TableEntry[] {
  return order.tables.filter((other) => {
    const how = ended.get(other);
    if (other === table || how === "passed") return false;
    if (table.after.includes(other.name) || other.tier > table.tier) return true;
    return how !== undefined && other.tier === table.tier && !mayRunTogether(table, other, order.parallel);
  });
}

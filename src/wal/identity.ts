/** What the write-ahead log says of a row that was changed or deleted: the columns of its replica identity. Pure. */
import type { TableInfo } from "../catalog/types.js";
import type { Plan } from "../plan/types.js";

/** Does this migration read its changes from the write-ahead log? */
export function readsWal(plan: Pick<Plan, "request">): boolean {
  return plan.request.capture === "wal";
}

/** The columns of the table's replica identity; empty when it has none. */
export function identityColumns(table: Pick<TableInfo, "replicaIdentity" | "indexes" | "columns">): string[] {
  const of = (index: TableInfo["indexes"][number] | undefined) =>
    (index?.columns ?? []).filter((name) => name !== null);
  switch (table.replicaIdentity) {
    case "n":
      return [];
    case "f":
      return table.columns.map((column) => column.name);
    case "d":
      return of(table.indexes.find((index) => index.primary));
    case "i":
      return of(table.indexes.find((index) => index.replicaIdentity === true));
  }
}

/**
 * True when the log tells the key of a row that goes, but not the partition key it had (a primary key without it, as
 * most have): the row is then looked for in every leaf by its key.
 */
export function isKeyed(plan: Plan): boolean {
  if (!readsWal(plan)) return false;
  const told = new Set(identityColumns(plan.source));
  return plan.partitionBy.some((column) => !told.has(column.name));
}

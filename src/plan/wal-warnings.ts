/** What an operator should know of capture from the write-ahead log before the run begins. Pure. */
import type { ColumnInfo, TableInfo } from "../catalog/types.js";
import { identityColumns } from "../wal/identity.js";
import type { MigrationRequest, Survey, Warning } from "./types.js";

export interface WalFactsOfPlan {
  table: TableInfo;
  request: MigrationRequest;
  survey: Survey;
  column: ColumnInfo | null;
}

/** Empty with triggers. */
export function walWarnings({ table, request, survey, column }: WalFactsOfPlan): Warning[] {
  if (request.capture !== "wal") return [];
  const kept = survey.wal?.keptBytes ?? null;
  const bound =
    kept === null
      ? "max_slot_wal_keep_size is -1: without a bound, until the disk is full"
      : `at most ${(kept / 1e9).toFixed(1)} GB (max_slot_wal_keep_size); beyond it the server gives the slot up, and the copy begins again`;
  const told = identityColumns(table);
  const isKeyed = column !== null && !told.includes(column.name);
  return [
    {
      code: "wal-kept",
      what: `From the copy to the cutover a replication slot keeps the WAL that Partway has not read yet, also while Partway is stopped: ${bound}.`,
      advice:
        "Do not leave the run stopped for long; partway status shows what is kept, and partway abort gives it back.",
    },
    ...(isKeyed
      ? [
          {
            code: "wal-key-only",
            what: `The write-ahead log tells the key of a deleted row, and not its ${column.name}: Partway looks for it in every leaf of the new table.`,
            advice: `With many leaves and many DELETEs, or UPDATEs of ${column.name}, applying them is slower than with triggers. REPLICA IDENTITY FULL tells it, for more WAL a row.`,
          },
        ]
      : []),
  ];
}

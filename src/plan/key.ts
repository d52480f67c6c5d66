/** Which index is the key (DESIGN 3.1): the primary key, else a UNIQUE NOT NULL index, or the one the operator names. */
import type { IndexInfo, TableInfo } from "../catalog/types.js";

/** Why an index cannot serve as key; empty when it can. Each is the end of the sentence "it ...". */
export function keyFaults(table: TableInfo, index: IndexInfo): string[] {
  const faults: string[] = [];
  const nullable = index.columns.filter(
    (name) => name !== null && table.columns.find((column) => column.name === name)?.notNull !== true,
  );
  if (!index.unique) faults.push("is not unique");
  if (!index.valid) faults.push("is not valid");
  if (index.partial) faults.push("is partial (has a WHERE)");
  if (index.columns.includes(null)) faults.push("indexes an expression");
  if (index.method !== "btree") faults.push(`is of type ${index.method}, not btree`);
  if (index.unique && !index.plain && !index.columns.includes(null))
    faults.push("uses an operator class, ordering or collation that is not the column's default");
  if (nullable.length > 0) faults.push(`has columns that may be NULL (${nullable.join(", ")})`);
  if (index.constraint?.deferrable === true) faults.push("belongs to a deferrable constraint");
  return faults;
}

/** The key that `--key` names or, without it, the primary key or else the first usable unique index; null: none. */
export function chooseKey(table: TableInfo, keyIndex: string | null): IndexInfo | null {
  const usable = (index: IndexInfo) => keyFaults(table, index).length === 0;
  if (keyIndex !== null) {
    const named = table.indexes.find((index) => index.name === keyIndex);
    return named !== undefined && usable(named) ? named : null;
  }
  const primary = table.indexes.find((index) => index.primary);
  if (primary !== undefined) return usable(primary) ? primary : null;
  return table.indexes.find(usable) ?? null;
}

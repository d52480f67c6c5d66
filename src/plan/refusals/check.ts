/** The contract of a refusal: a pure look at what is known, nothing thrown. */
import type { ColumnInfo, DependentInfo, IndexInfo, TableInfo } from "../../catalog/types.js";
import { ident, qualified } from "../../pg/quote.js";
import type { MigrationRequest, Refusal, Survey } from "../types.js";

export interface CheckInput {
  table: TableInfo;
  request: MigrationRequest;
  survey: Survey;
  /** The partition column; null when the table has no such column. */
  column: ColumnInfo | null;
  /** The key's index; null when none is usable. */
  key: IndexInfo | null;
}

export type Check = (input: CheckInput) => Refusal[];

/** The table's quoted, qualified name. */
export function nameOf(table: TableInfo): string {
  return qualified(table.schema, table.name);
}

/** What hangs on the table, of one kind. */
export function dependents(table: TableInfo, kind: DependentInfo["kind"]): DependentInfo[] {
  return table.dependents.filter((dependent) => dependent.kind === kind);
}

/**
 * What stands after DROP TRIGGER, RULE or POLICY: `"name" ON table`. The catalog gives an object that belongs to another
 * relation and reads this one as `name on schema.table`, quoted already.
 */
export function placed(dependent: DependentInfo, table: TableInfo): string {
  return / on .+\../.test(dependent.name) ? dependent.name : `${ident(dependent.name)} ON ${nameOf(table)}`;
}

/** `name (detail)`, for sentences. */
export function shown(dependent: DependentInfo): string {
  return dependent.detail === "" ? dependent.name : `${dependent.name} (${dependent.detail})`;
}

/** All refusals, asked in the order in which an operator would fix them. */
import type { Refusal } from "../types.js";
import type { Check, CheckInput } from "./check.js";
import { checks } from "./checks.js";
import { columnType } from "./column-type.js";
import { deferrableKeys } from "./deferrable-keys.js";
import { exclusionConstraints } from "./exclusion-constraints.js";
import { extensionMembership } from "./extension-membership.js";
import { extensionTypes } from "./extension-types.js";
import { foreignKeys } from "./foreign-keys.js";
import { foreignOwners } from "./foreign-owners.js";
import { generatedColumn } from "./generated-column.js";
import { hourOnDate } from "./hour-on-date.js";
import { incomingForeignKeys } from "./incoming-foreign-keys.js";
import { indexTablespaces } from "./index-tablespaces.js";
import { infiniteValues } from "./infinite-values.js";
import { inheritance } from "./inheritance.js";
import { invalidIndexes } from "./invalid-indexes.js";
import { leaves } from "./leaves.js";
import { listValues } from "./list-values.js";
import { noColumn } from "./no-column.js";
import { noKey } from "./no-key.js";
import { nullValues } from "./null-values.js";
import { ordinaryTable } from "./ordinary-table.js";
import { otherDependents } from "./other-dependents.js";
import { ownTable } from "./own-table.js";
import { ownerRights } from "./owner-rights.js";
import { permanent } from "./permanent.js";
import { publications } from "./publications.js";
import { reservedNames } from "./reserved-names.js";
import { rights } from "./rights.js";
import { rowSecurity } from "./row-security.js";
import { rules } from "./rules.js";
import { securityLabels } from "./security-labels.js";
import { serverVersion } from "./server-version.js";
import { triggers } from "./triggers.js";
import { typedTable } from "./typed-table.js";
import { uniqueIndexes } from "./unique-indexes.js";
import { views } from "./views.js";
import { wal } from "./wal.js";

const CHECKS: readonly Check[] = [
  serverVersion,
  ordinaryTable,
  permanent,
  ownTable,
  extensionMembership,
  typedTable,
  inheritance,
  rights,
  ownerRights,
  foreignOwners,
  noKey,
  deferrableKeys,
  extensionTypes,
  noColumn,
  columnType,
  generatedColumn,
  hourOnDate,
  nullValues,
  infiniteValues,
  listValues,
  leaves,
  uniqueIndexes,
  invalidIndexes,
  indexTablespaces,
  exclusionConstraints,
  checks,
  foreignKeys,
  incomingForeignKeys,
  triggers,
  rules,
  rowSecurity,
  views,
  publications,
  reservedNames,
  securityLabels,
  otherDependents,
  wal,
];

/** Everything that stands in the way, at once. What is no ordinary table is not looked at further. */
export function refusalsOf(input: CheckInput): Refusal[] {
  const kind = ordinaryTable(input);
  return kind.length > 0 ? kind : CHECKS.flatMap((check) => check(input));
}

/** Whether policies stand between the role and the rows. Pure. */
import type { TableInfo } from "./types.js";

/** Row security that holds for this role too: with row_security off every read of the rows is an error. */
export function hiddenByPolicies({ rowSecurity, forceRowSecurity, rights }: TableInfo): boolean {
  return rowSecurity && forceRowSecurity && !rights.superuser && rights.bypassRowSecurity !== true;
}

/** Is this the database in which a migration ended, or never began? Without its row only the catalog can tell. */
import type { Working } from "../../state/machine.js";
import { qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import type { Plan } from "../plan/types.js";
import { oidOf } from "../sync/leaves.js";

/**
 * True when the application's name leads where `at` leaves it: before the backup, after rollback and abort to the very
 * table the plan was made from, after finalize to another one. Another database, given by mistake, has neither.
 */
export async function endedHere(session: Session, plan: Plan, at: Working): Promise<boolean> {
  const { schema, source, retired } = plan.names;
  const found = await oidOf(session, qualified(schema, source));
  if (at !== "drop") return found === plan.source.oid;
  return (
    found !== null && found !== plan.source.oid && (await oidOf(session, qualified(schema, retired))) === null
  );
}

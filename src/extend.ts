/** A longer retention window: the one thing of a migration that is changed beside the process that drives it. */
import { z } from "zod";
import { type ConnectOptions, type StateOptions, targetOf, withSession } from "./api.js";
import { parseDuration } from "./config/duration.js";
import { explainUntouched } from "./engine/faults.js";
import { openJournal, pickMigration } from "./engine/state-dir.js";
import { badInput, PartwayError } from "./errors.js";
import { mustReadStored, STORE_SQL } from "./sync/store.js";

export interface ExtendedWindow {
  id: string;
  table: string;
  /** Database time, ISO 8601. */
  deadline: string;
  secondsLeft: number;
}

const Extended = z.object({ deadline: z.string(), seconds_left: z.coerce.number() });

/**
 * Moves the deadline of the window by `by` (a duration: `24h`, `7d`), counted from now where it has passed already. A
 * process that tends the window follows within a second. Errors: bad-input; `refused` outside the window.
 */
export async function extend(
  options: ConnectOptions & StateOptions & { id?: string | undefined; by: string },
): Promise<ExtendedWindow> {
  const seconds = parseDuration(options.by, "--by");
  if (seconds === 0) throw badInput("--by 0 changes nothing", "Say how much longer, for example --by 24h.");
  const journal = openJournal(options.state);
  const { id, table } = (() => {
    try {
      return pickMigration(journal, options.id);
    } finally {
      journal.close();
    }
  })();
  const target = await targetOf(options);
  try {
    return await withSession(target, async (session) => {
      const { phase } = await mustReadStored(session, id);
      const row = await session.maybe(Extended, STORE_SQL.extend, [id, String(seconds)]);
      if (row === null)
        throw new PartwayError("refused", {
          what: `migration ${id} is not in its retention window: its next phase is ${phase}`,
          state: "Nothing was touched.",
          next: `partway status ${id}`,
        });
      return { id, table, deadline: row.deadline, secondsLeft: row.seconds_left };
    });
  } catch (error) {
    throw explainUntouched(error);
  }
}

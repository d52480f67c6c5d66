/** What the server or the network did to a run, in an operator's words: what happened, the state, what to type next. */
import { asPartwayError, messageOf, PartwayError } from "../errors.js";
import { CannotConnect } from "../pg/connect-failure.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";

/** The run has tried long enough to get its connection back. */
export class GivenUp extends Error {
  constructor(why: string, last: unknown) {
    super(`${why}: ${messageOf(last)}`, { cause: last });
    this.name = "GivenUp";
  }
}

const RESUMABLE = "Nothing is lost: what was committed is in the database, and the run can be resumed.";

/** Any failure of the running migration `id` as an error with its explanation. */
export function explainFault(error: unknown, id: string): PartwayError {
  const resume = `partway resume ${id}`;
  const explained = (what: string, next: string, kind: "unexpected" | "stopped" = "unexpected") =>
    new PartwayError(kind, { what, state: RESUMABLE, next }, { cause: error });
  // "Nothing was touched" is what it says at the start of a command; in the middle of a run that is not so.
  if (error instanceof CannotConnect) return explained(error.message, `${error.next} (${resume})`);
  if (error instanceof PartwayError) return error;
  if (error instanceof GivenUp) return explained(error.message, `When psql connects again: ${resume}`);
  switch (sqlState(error)) {
    case SQLSTATE.queryCanceled:
      return explained(
        `somebody cancelled a statement of Partway from outside: ${messageOf(error)}`,
        `If that was not to stop the run for good: ${resume}`,
        "stopped",
      );
    case SQLSTATE.diskFull:
      return explained(
        `a disk of the database server is full: ${messageOf(error)}`,
        `Free space there, then: ${resume} (before cutover, partway abort ${id} gives back what the migration has taken)`,
      );
    case SQLSTATE.readOnly:
      return explained(
        `the server takes no writes, as a standby does: ${messageOf(error)}`,
        `${resume} --url <the primary>`,
      );
    default:
      return asPartwayError(error, RESUMABLE, resume);
  }
}

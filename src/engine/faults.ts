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

/** What is true when it happened: the state of things, and the command that goes on. */
interface Then {
  state: string;
  again: string;
  /** What else gives back a full disk. */
  free?: string;
}

/** Any failure of the running migration `id` as an error with its explanation. */
export function explainFault(error: unknown, id: string): PartwayError {
  // "Nothing was touched" is what it says at the start of a command; in the middle of a run that is not so.
  const resume = `partway resume ${id}`;
  if (error instanceof CannotConnect)
    return new PartwayError(
      "unexpected",
      { what: error.message, state: RESUMABLE, next: `${error.next} (${resume})` },
      { cause: error },
    );
  const free = ` (before cutover, partway abort ${id} gives back what the migration has taken)`;
  return explain(error, { state: RESUMABLE, again: resume, free });
}

/** A failure before anything was written. */
export function explainUntouched(error: unknown): PartwayError {
  return explain(error, { state: "Nothing was touched.", again: "the same command again" });
}

function explain(error: unknown, { state, again, free = "" }: Then): PartwayError {
  const explained = (what: string, next: string, kind: "unexpected" | "stopped" = "unexpected") =>
    new PartwayError(kind, { what, state, next }, { cause: error });
  if (error instanceof PartwayError) return error;
  if (error instanceof GivenUp) return explained(error.message, `When psql connects again: ${again}`);
  switch (sqlState(error)) {
    case SQLSTATE.queryCanceled:
      return explained(
        `somebody cancelled a statement of Partway from outside: ${messageOf(error)}`,
        `If that was not to stop it for good: ${again}`,
        "stopped",
      );
    case SQLSTATE.diskFull:
      return explained(
        `a disk of the database server is full: ${messageOf(error)}`,
        `Free space there, then: ${again}${free}`,
      );
    case SQLSTATE.readOnly:
      return explained(
        `the server takes no writes, as a standby does: ${messageOf(error)}`,
        `${again}, with --url <the primary>`,
      );
    default:
      return asPartwayError(error, state, again);
  }
}

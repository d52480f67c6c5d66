/** What a person reads when the journal cannot be opened, read or written. Each names the file. */
import { z } from "zod";
import { messageOf, PartwayError } from "../src/errors.js";

export type JournalMode = "write" | "read";

const KEPT = "Nothing was overwritten: the file is as it was.";
const REBUILD = "run `partway recover`: it rebuilds the journal from what the database knows";
const ELSEWHERE = "give a journal path that Partway may write to, then run the same command again";

/** The code of a SQLite (SQLITE_...) or Node (EACCES, ...) error; empty for anything else. */
export function codeOf(error: unknown): string {
  if (typeof error !== "object" || error === null || !("code" in error)) return "";
  return typeof error.code === "string" ? error.code : "";
}

function bad(what: string, next: string, cause?: unknown): PartwayError {
  return new PartwayError(
    "bad-input",
    { what, state: KEPT, next },
    cause === undefined ? undefined : { cause },
  );
}

export function notThere(file: string): PartwayError {
  return bad(
    `there is no journal at ${file}`,
    "Run `partway run` to start a migration, which makes one, or `partway recover` if the journal of a started migration was lost.",
  );
}

/** `how` says what is wrong: "is empty", "is cut short", ... */
export function damaged(file: string, how: string, cause?: unknown): PartwayError {
  return bad(
    `the journal ${file} ${how}`,
    `Restore the file from a copy, or move it (with its -wal and -shm files) out of the way and ${REBUILD}.`,
    cause,
  );
}

export function foreign(file: string, what: string, cause?: unknown): PartwayError {
  return bad(
    `${file} is not a Partway journal: ${what}`,
    "Check the journal path: give the path of a journal, or one where no file is yet.",
    cause,
  );
}

export function newer(file: string, version: number, ours: number): PartwayError {
  return bad(
    `the journal ${file} was written by a newer Partway (journal version ${version}; this program knows ${ours})`,
    "Install the Partway that wrote it (`npm install -g partway@latest`), then run the same command again.",
  );
}

export function older(file: string, version: number, ours: number): PartwayError {
  return bad(
    `the journal ${file} was written by an older Partway (journal version ${version}, now ${ours})`,
    "Run a command that writes, such as `partway resume`: it brings the journal up to date.",
  );
}

/** A write-ahead log without its main file: a new journal here would be mixed with the old one's pages. */
export function orphanLog(file: string, log: string): PartwayError {
  return bad(
    `there is no journal at ${file}, but ${log} is still there and may hold its newest rows`,
    `Put the journal back beside it, or move ${log} out of the way and ${REBUILD}.`,
  );
}

/** A process that was stopped or frozen inside a write keeps the lock until it ends; what it holds is in the database. */
const LET_GO =
  "Wait for the other Partway process (`partway status` names it); where it is stopped or frozen, end it with `kill -9`, which loses nothing. Then";

/** No space left. SHMSIZE: not even for the index of the write-ahead log, which SQLite calls an I/O error. */
const FULL: ReadonlySet<string> = new Set(["SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "ENOSPC", "EDQUOT"]);

/** Any error met while opening, as bad input (exit 2) that names the file. */
export function openProblem(file: string, mode: JournalMode, error: unknown): PartwayError {
  if (error instanceof PartwayError) return error;
  const code = codeOf(error);
  const detail = `${code === "" ? "" : `${code}: `}${messageOf(error)}`;
  if (code.startsWith("SQLITE_NOTADB")) return foreign(file, "it is not a SQLite file", error);
  if (code.startsWith("SQLITE_CORRUPT")) return damaged(file, `is damaged or cut short (${detail})`, error);
  if (FULL.has(code))
    return bad(
      `the disk is full: cannot write the journal ${file}`,
      "Free some space, then run the same command again.",
      error,
    );
  if (code.startsWith("SQLITE_BUSY"))
    return bad(
      `another process has had the journal ${file} locked for too long (${detail})`,
      `${LET_GO} run the same command again.`,
      error,
    );
  if (mode === "write")
    return bad(
      `cannot write the journal ${file} (${detail})`,
      `Check the file's and the directory's owner and permissions, or ${ELSEWHERE}.`,
      error,
    );
  return bad(
    `cannot read the journal ${file} (${detail})`,
    "Check the owner and permissions of the file and its directory: SQLite must be able to make the -wal and -shm files beside it. Or copy the journal with its -wal file to a directory of your own and read it there.",
    error,
  );
}

/** Another process has claimed the migration since this one did. The words are the lease's (src/pg/lease.ts). */
export function takenOver(id: string, owner: { pid: number; host: string } | null): PartwayError {
  const by = owner === null ? "" : ` (process ${owner.pid} on ${owner.host})`;
  return new PartwayError("fenced", {
    what: `another Partway process has taken over migration ${id}${by}`,
    state: "This process wrote nothing since; the other one goes on.",
    next: `partway status ${id}`,
  });
}

/** The file under the journal's name is gone, or another one, in the middle of a run. */
export function replaced(file: string, label: string): PartwayError {
  return new PartwayError("unexpected", {
    what: `the journal ${file} was deleted or replaced while this process was using it (${label})`,
    state:
      "The run has stopped: what it recorded since then is lost, but the database still holds what is needed to go on.",
    next: "If no journal is there (move a -wal and -shm file of it out of the way too), run `partway recover`, which rebuilds it from the database; then `partway resume` continues.",
  });
}

/** Any error met while reading a journal that opened well; `where` names the statement or row. */
export function readProblem(file: string, where: string, error: unknown): unknown {
  if (codeOf(error).startsWith("SQLITE_")) return openProblem(file, "read", error);
  if (error instanceof z.ZodError || error instanceof SyntaxError) {
    const detail = error instanceof z.ZodError ? z.prettifyError(error).replaceAll("\n", " ") : error.message;
    return damaged(file, `holds a row that cannot be read (${where}: ${detail})`, error);
  }
  return error;
}

/** Any error met while writing a journal that opened well. */
export function writeProblem(file: string, label: string, error: unknown): PartwayError {
  if (error instanceof PartwayError) return error;
  const code = codeOf(error);
  const unexpected = (what: string, remedy: string) =>
    new PartwayError(
      "unexpected",
      {
        what,
        state:
          "This one step was not recorded; everything recorded before it is. The database still holds what is needed to go on.",
        next: `${remedy} \`partway resume\` continues.`,
      },
      { cause: error },
    );
  if (code === "SQLITE_CONSTRAINT_FOREIGNKEY")
    return bad(
      `the journal ${file} has no such migration (${label})`,
      "Run `partway status`: it lists the migrations.",
      error,
    );
  if (FULL.has(code))
    return unexpected(
      `the disk is full: cannot write the journal ${file} (${label})`,
      "Free some space, then",
    );
  if (code.startsWith("SQLITE_READONLY") || code.startsWith("SQLITE_CANTOPEN"))
    return unexpected(
      `the journal ${file} can no longer be written (${label}: ${code})`,
      "Make the file and its directory writable again, then",
    );
  if (code.startsWith("SQLITE_BUSY"))
    return unexpected(`another process has had the journal ${file} locked for too long (${label})`, LET_GO);
  if (code.startsWith("SQLITE_CORRUPT") || code.startsWith("SQLITE_NOTADB"))
    return unexpected(
      `the journal ${file} is damaged (${label}: ${messageOf(error)})`,
      "Move it out of the way and run `partway recover`, which rebuilds it from the database; then",
    );
  return unexpected(
    `cannot write the journal ${file} (${label}: ${code} ${messageOf(error)})`,
    "Check the disk, then",
  );
}

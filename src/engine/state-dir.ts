/** The state directory: `journal.db`, `backups/`, `log/`. Default `.partway/` in the current folder. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Logger } from "pino";
import { Journal, type WriteHook } from "../../state/journal.js";
import { notThere } from "../../state/journal-errors.js";
import type { MigrationRecord } from "../../state/journal-rows.js";
import { badInput } from "../errors.js";
import { type KillPoint, killPoint } from "../kill-switch.js";
import { openLog } from "../log.js";

export const DEFAULT_STATE = ".partway";

export interface StateDir {
  dir: string;
  journal: Journal;
  backups: string;
  log: Logger;
}

/**
 * Opens the state directory for writing. "make" makes it when it is not there (a new migration); "existing" makes
 * nothing: where there is no journal there is no migration to go on with. Errors: bad-input naming the file.
 */
export function openState(dir: string | undefined, mode: "make" | "existing"): StateDir {
  const root = rootOf(dir);
  const file = join(root, "journal.db");
  if (mode === "existing" && !existsSync(file)) throw notThere(file);
  const journal = Journal.open(file, "write", { onWrite: journalKillPoints() });
  return {
    dir: root,
    journal,
    backups: join(root, "backups"),
    log: openLog(join(root, "log", "partway.ndjson")),
  };
}

/** The journal alone, for reading. */
export function openJournal(dir: string | undefined): Journal {
  return Journal.open(join(rootOf(dir), "journal.db"), "read");
}

/** The journal alone, to write commands into. Errors: bad-input where there is none. */
export function openForCommands(dir: string | undefined): Journal {
  const file = join(rootOf(dir), "journal.db");
  if (!existsSync(file)) throw notThere(file);
  return Journal.open(file, "write");
}

/** The journal for reading; null when there is none yet. */
export function journalIfAny(dir: string | undefined): Journal | null {
  const file = join(rootOf(dir), "journal.db");
  return existsSync(file) ? Journal.open(file, "read") : null;
}

/** Empty would mean the current folder itself, which nobody wants a journal strewn into. */
function rootOf(dir: string | undefined): string {
  if (dir?.trim() === "") throw badInput("--state is empty", "Name a directory, or leave --state out.");
  return resolve(dir ?? DEFAULT_STATE);
}

const ENDED = new Set(["done", "rolled-back", "aborted"]);

/** The migration `id` names; without one, the only migration that has not ended. */
export function pickMigration(journal: Journal, id: string | undefined, endedToo = false): MigrationRecord {
  const all = journal.migrations();
  if (id !== undefined) {
    const found = all.find((m) => m.id === id);
    if (found !== undefined) return found;
    throw badInput(
      `there is no migration ${id} in ${journal.file}`,
      `${
        all.length === 0
          ? "partway run starts one."
          : `partway list shows those there are: ${all.map((m) => m.id).join(", ")}.`
      } If the database has it and the journal lost it: partway recover ${id}`,
    );
  }
  const open = all.filter((m) => m.outcome === null || !ENDED.has(m.outcome));
  const [first, second] = open;
  if (first !== undefined && second === undefined) return first;
  if (first === undefined) {
    const newest = all[0];
    if (endedToo && newest !== undefined) return newest;
    throw badInput(
      `no migration in ${journal.file} is open`,
      "partway list shows what there was; partway run starts one; partway recover finds one that the journal lost.",
    );
  }
  throw badInput(
    `several migrations are open: ${open.map((m) => m.id).join(", ")}`,
    `Name one: the command takes the id as its argument. For example: partway status ${first.id}`,
  );
}

/** Test-only: every write of the journal is a numbered kill point, like every statement in the database. */
function journalKillPoints(): WriteHook {
  let current: KillPoint | null = null;
  return ({ label, point }) => {
    // Before the commit and not before the first statement: SQLite then has something to undo.
    if (point === "inside") {
      current = killPoint(`journal: ${label}`);
      current.before();
    } else if (point === "after") current?.after();
  };
}

/** The journal's tables, and how an older journal is brought forward. One entry in STEPS per version, never edited. */
import type { Database } from "better-sqlite3";

/** "PWAY" in PRAGMA application_id (bytes 68-71 of the file): how a Partway journal is told from any other SQLite file. */
export const APPLICATION_ID = 0x50574159;

const VERSION_1 = /*sql*/ `
CREATE TABLE migration (
  id                TEXT PRIMARY KEY,
  created_at        TEXT NOT NULL,
  updated_at        TEXT NOT NULL,
  server            TEXT NOT NULL,
  table_name        TEXT NOT NULL,
  state             TEXT NOT NULL,
  outcome           TEXT,
  plan              TEXT NOT NULL,
  settings          TEXT NOT NULL,
  snapshot          TEXT NOT NULL,
  owner_pid         INTEGER,
  owner_host        TEXT,
  owner_started_at  TEXT
) STRICT;

CREATE TABLE transition (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  migration  TEXT NOT NULL REFERENCES migration (id),
  from_state TEXT NOT NULL,
  to_state   TEXT NOT NULL,
  event      TEXT NOT NULL,
  outcome    TEXT,
  at         TEXT NOT NULL
) STRICT;
CREATE INDEX transition_migration ON transition (migration);

CREATE TABLE batch (
  migration  TEXT NOT NULL REFERENCES migration (id),
  generation INTEGER NOT NULL,
  batch      INTEGER NOT NULL,
  rows       INTEGER NOT NULL,
  ms         REAL NOT NULL,
  at         TEXT NOT NULL,
  PRIMARY KEY (migration, generation, batch)
) STRICT, WITHOUT ROWID;

CREATE TABLE index_build (
  migration  TEXT NOT NULL REFERENCES migration (id),
  leaf       TEXT NOT NULL,
  index_name TEXT NOT NULL,
  ms         REAL NOT NULL,
  at         TEXT NOT NULL,
  PRIMARY KEY (migration, leaf, index_name)
) STRICT, WITHOUT ROWID;

CREATE TABLE validation (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  migration   TEXT NOT NULL REFERENCES migration (id),
  direction   TEXT NOT NULL,
  result      TEXT NOT NULL,
  rows        INTEGER NOT NULL,
  source_hash TEXT NOT NULL,
  shadow_hash TEXT NOT NULL,
  ms          REAL NOT NULL,
  at          TEXT NOT NULL
) STRICT;
CREATE INDEX validation_migration ON validation (migration);

CREATE TABLE cutover (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  migration        TEXT NOT NULL REFERENCES migration (id),
  direction        TEXT NOT NULL,
  tries            INTEGER NOT NULL,
  waited_ms        REAL NOT NULL,
  held_ms          REAL NOT NULL,
  longest_stall_ms REAL NOT NULL,
  at               TEXT NOT NULL
) STRICT;
CREATE INDEX cutover_migration ON cutover (migration);

CREATE TABLE measurement (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  migration TEXT NOT NULL REFERENCES migration (id),
  name      TEXT NOT NULL,
  value     REAL NOT NULL,
  at        TEXT NOT NULL
) STRICT;
CREATE INDEX measurement_name ON measurement (migration, name);

-- AUTOINCREMENT: the id of a deleted event must not come back, or a watcher that asks "since" would miss one.
CREATE TABLE event (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  migration TEXT NOT NULL REFERENCES migration (id),
  kind      TEXT NOT NULL,
  body      TEXT NOT NULL
) STRICT;
CREATE INDEX event_kind ON event (migration, kind);

CREATE TABLE command (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  migration   TEXT NOT NULL REFERENCES migration (id),
  name        TEXT NOT NULL,
  at          TEXT NOT NULL,
  taken       INTEGER NOT NULL DEFAULT 0,
  ok          INTEGER,
  message     TEXT,
  answered_at TEXT
) STRICT;
CREATE INDEX command_pending ON command (migration) WHERE taken = 0;
`;

/** Rehearsals (src/rehearse): the newest one of each origin counts (pg_stat_statements, a file). `body`: all of it; `finding`: what holds the cutover. */
const REHEARSALS = /*sql*/ `
CREATE TABLE rehearsal (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  migration  TEXT NOT NULL REFERENCES migration (id),
  origin     TEXT NOT NULL,
  body       TEXT NOT NULL,
  at         TEXT NOT NULL
) STRICT;
CREATE INDEX rehearsal_migration ON rehearsal (migration);

CREATE TABLE finding (
  rehearsal   INTEGER NOT NULL REFERENCES rehearsal (id),
  n           INTEGER NOT NULL,
  verdict     TEXT NOT NULL,
  statement   TEXT NOT NULL,
  reason      TEXT NOT NULL,
  accepted_at TEXT,
  PRIMARY KEY (rehearsal, n)
) STRICT, WITHOUT ROWID;
`;

/** STEPS[n] takes a journal from version n to n + 1. */
export const STEPS: readonly string[] = [VERSION_1, REHEARSALS];

/** The version this program writes (PRAGMA user_version). */
export const VERSION = STEPS.length;

/** The file's version. */
export function versionOf(db: Database): number {
  return Number(db.pragma("user_version", { simple: true }));
}

/**
 * Brings the file to the newest version, all steps in one IMMEDIATE transaction: a crash or an error leaves the old
 * version whole. Two processes may call it at once; the second finds nothing left to do. It writes even then, which is
 * how a journal that cannot be written is found on opening and not in the middle of a run.
 */
export function upgrade(db: Database, steps: readonly string[] = STEPS): void {
  db.transaction(() => {
    const from = versionOf(db);
    for (const [offset, step] of steps.slice(from).entries()) {
      db.exec(step);
      db.pragma(`user_version = ${from + offset + 1}`);
    }
    // BEGIN IMMEDIATE on a file that can only be read is silently a read: only a write tells.
    db.pragma(`user_version = ${versionOf(db)}`);
  }).immediate();
}

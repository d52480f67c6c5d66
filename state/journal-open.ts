/**
 * Opens the journal's file. A file that is anything but a sound Partway journal is an error that names it: it is
 * looked at through a read-only connection first, and only a file that passed is opened for writing.
 *
 * The file is never opened with node:fs here: closing any descriptor of a file drops the locks that SQLite holds on
 * it elsewhere in the same process (sqlite.org/howtocorrupt.html, 2.2).
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import Database from "better-sqlite3";
import { badInput } from "../src/errors.js";
import { killPoint } from "../src/kill-switch.js";
import {
  codeOf,
  damaged,
  foreign,
  type JournalMode,
  newer,
  notThere,
  older,
  openProblem,
  orphanLog,
} from "./journal-errors.js";
import { isAlive } from "./journal-owner.js";
import { APPLICATION_ID, upgrade, VERSION, versionOf } from "./journal-schema.js";

/** How long one process waits for another one's write, ms. A write here is a few rows, so this is already a hang. */
const BUSY_TIMEOUT_MS = 10_000;

/** Absolute path of the journal. Errors: bad-input for a path SQLite would silently read as another one. */
export function journalPath(path: string): string {
  if (path.trim() === "" || path.trim() !== path)
    throw badInput(
      `${JSON.stringify(path)} is not a usable journal path`,
      "Give a path without leading or trailing spaces.",
    );
  return resolve(path);
}

/**
 * Opens `file` (absolute). "write" makes the journal when there is none, with its directory (0700, file 0600), and
 * brings an older one up to date; "read" makes nothing. Errors: bad-input, naming the file.
 */
export function openDatabase(file: string, mode: JournalMode): Database.Database {
  try {
    if (mode === "write") removeAbandoned(file);
    if (!isThere(file)) {
      if (mode === "read") throw notThere(file);
      create(file);
    }
    const reader = connect(file, "read", (db) => verify(db, file, mode));
    if (mode === "read") return reader;
    reader.close();
    return connect(file, "write", (db) => {
      // FULL: a commit is on the disk before the next step begins; better-sqlite3's default in WAL is NORMAL.
      db.pragma("synchronous = FULL");
      requireWal(db, file);
      upgrade(db);
    });
  } catch (error) {
    throw openProblem(file, mode, error);
  }
}

function connect(
  file: string,
  mode: JournalMode,
  settle: (db: Database.Database) => void,
): Database.Database {
  const db = new Database(file, { readonly: mode === "read", fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
  try {
    settle(db);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function isThere(file: string): boolean {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) return false;
  if (found.isDirectory()) throw foreign(file, "it is a directory");
  if (!found.isFile()) throw foreign(file, "it is not a regular file");
  if (found.size === 0) throw damaged(file, "is empty: it was cut short, or something else made the file");
  return true;
}

/** Whose file is it, is it whole, can this program read it: in that order, all read-only. */
function verify(db: Database.Database, file: string, mode: JournalMode): void {
  if (db.pragma("application_id", { simple: true }) !== APPLICATION_ID)
    throw foreign(file, "it is a SQLite file of another program");
  const version = versionOf(db);
  if (version > VERSION) throw newer(file, version, VERSION);
  const finding = db.pragma("quick_check(1)", { simple: true });
  if (finding !== "ok") throw damaged(file, `is damaged (${String(finding).replaceAll("\n", " ")})`);
  if (isRagged(db, file)) throw damaged(file, "is cut short: it does not end with a whole page");
  if (version < 1) throw damaged(file, "has no version number");
  if (version < VERSION && mode === "read") throw older(file, version, VERSION);
}

/**
 * SQLite fills a partial last page with zeros and goes on. Where the write-ahead log has content, a partial page is
 * an interrupted checkpoint that the log repairs; without one it is a lost piece.
 */
function isRagged(db: Database.Database, file: string): boolean {
  const pageSize = Number(db.pragma("page_size", { simple: true }));
  return sizeOf(file) % pageSize !== 0 && sizeOf(`${file}-wal`) === 0;
}

/** Tells one file from another under the same name; null when there is none. */
export function fileId(file: string): string | null {
  const found = statSync(file, { throwIfNoEntry: false });
  return found === undefined ? null : `${found.dev}:${found.ino}`;
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function requireWal(db: Database.Database, file: string): void {
  if (db.pragma("journal_mode = WAL", { simple: true }) !== "wal")
    throw badInput(
      `the file system of ${file} does not support SQLite's write-ahead log`,
      "Put the journal on a local disk, not on a network share.",
    );
}

/**
 * Makes a whole journal under a draft name and then links it into place: whatever crashes, and however many
 * processes do this at once, the journal's own name is either absent or a complete journal, and is never replaced.
 */
function create(file: string): void {
  for (const log of [`${file}-wal`, `${file}-journal`])
    if (sizeOf(log) > 0 && !existsSync(file)) throw orphanLog(file, log);
  const directory = killPoint("file: the journal's directory is made");
  directory.before();
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  directory.after();
  const draft = `${file}.new-${process.pid}-${randomBytes(4).toString("hex")}`;
  try {
    const point = killPoint("file: the journal's draft is made");
    closeSync(openSync(draft, "wx", 0o600));
    point.before();
    connect(draft, "write", (db) => {
      db.pragma(`application_id = ${APPLICATION_ID}`);
      upgrade(db);
      requireWal(db, file);
    }).close();
    point.after();
    publish(draft, file);
  } finally {
    for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(`${draft}${suffix}`, { force: true });
  }
}

/** Drafts of processes that died while they made this journal, or right after. */
function removeAbandoned(file: string): void {
  const directory = dirname(file);
  if (!existsSync(directory)) return;
  const drafts = `${basename(file)}.new-`;
  for (const name of readdirSync(directory)) {
    const [, pid] = name.startsWith(drafts) ? (/^(\d+)-/.exec(name.slice(drafts.length)) ?? []) : [];
    if (pid !== undefined && !isAlive(Number(pid))) rmSync(join(directory, name), { force: true });
  }
}

function publish(draft: string, file: string): void {
  const point = killPoint("file: the journal gets its name");
  point.before();
  try {
    linkSync(draft, file);
    point.after();
  } catch (error) {
    const code = codeOf(error);
    if (code === "EEXIST") return; // another process was faster; its journal is as good
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "EOPNOTSUPP") throw error;
    copyFileSync(draft, file, constants.COPYFILE_EXCL); // a file system without hard links
  }
  syncDirectory(dirname(file));
}

/** Makes the new name itself durable. Windows has no such call. */
function syncDirectory(directory: string): void {
  if (process.platform === "win32") return;
  const descriptor = openSync(directory, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

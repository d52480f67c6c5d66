/**
 * The journal: what the orchestrator did, where it stands, what it measured (DESIGN 4). One SQLite file; one process
 * drives a migration and writes, others watch it and write commands. Everything is synchronous: written when a method
 * returns, and on the disk too (synchronous=FULL) but for what is only told (events, measurements, batches and indexes
 * that the database knows better), which is on the disk with the next write that lasts. Where it and the target database
 * disagree about data, the database is right.
 *
 * `at` is always ISO 8601. Methods throw PartwayError, naming the file: bad-input when the file is not what it should
 * be, unexpected when a write fails.
 */
import type { Database, RunResult, Statement } from "better-sqlite3";
import type { z } from "zod";
import { PartwayError } from "../src/errors.js";
import type { Command, Outcome, RunEvent } from "./events.js";
import {
  type JournalMode,
  openProblem,
  readProblem,
  replaced,
  takenOver,
  writeProblem,
} from "./journal-errors.js";
import { NOISY, parseEvent } from "./journal-events.js";
import { fileId, journalPath, openDatabase } from "./journal-open.js";
import { isSameOwner, mayTakeOver } from "./journal-owner.js";
import * as rows from "./journal-rows.js";
import { redact, redactedJson, secretFreeJson } from "./journal-secrets.js";
import { SQL } from "./journal-sql.js";

export type { JournalMode } from "./journal-errors.js";
export type { MigrationRecord, Owner } from "./journal-rows.js";

type Value = string | number | null;
type Params = Record<string, Value>;
type Name = keyof typeof SQL;

/**
 * Called around each write, for kill tests: `before` its transaction, `inside` after its statements and before the
 * commit, `after` the commit. `n` counts the writes of this object from 1.
 */
export type WriteHook = (write: { n: number; label: string; point: "before" | "inside" | "after" }) => void;

type NewFinding = Pick<rows.FindingRecord, "n" | "verdict" | "statement" | "reason">;

export interface OpenOptions {
  onWrite?: WriteHook;
}

export class Journal {
  /** Absolute path. */
  readonly file: string;
  readonly #db: Database;
  readonly #onWrite: WriteHook | null;
  /** Which file it is, whatever stands under its name later. */
  readonly #fileId: string | null;
  /** The migrations claimed through this object, and as whom. */
  readonly #claims = new Map<string, rows.Owner>();
  readonly #statements = new Map<Name, Statement<[Params]>>();
  #writes = 0;

  private constructor(file: string, db: Database, onWrite: WriteHook | null) {
    this.file = file;
    this.#db = db;
    this.#onWrite = onWrite;
    this.#fileId = fileId(file);
  }

  /**
   * Opens the journal. "write" makes it when there is none (file 0600, directory 0700) and brings an older one up to
   * date; "read" makes nothing and works while another process writes. Errors: bad-input for any file that is not a
   * sound Partway journal of a version this program knows; such a file is left as it is.
   */
  static open(file: string, mode: JournalMode, options: OpenOptions = {}): Journal {
    const path = journalPath(file);
    return new Journal(path, openDatabase(path, mode), options.onWrite ?? null);
  }

  /** Enters a new migration. Errors: bad-input when plan or settings hold a URL with a password, or the id is taken. */
  create(m: {
    id: string;
    server: string;
    table: string;
    plan: unknown;
    settings: unknown;
    snapshot: unknown;
    state: string;
    at: string;
  }): void {
    const plan = secretFreeJson("plan", m.plan);
    const settings = secretFreeJson("settings", m.settings);
    secretFreeJson("server", m.server);
    const enter = () => {
      if (this.#get("migration", { id: m.id }) !== undefined)
        throw new PartwayError("bad-input", {
          what: `migration ${m.id} is already in the journal ${this.file}`,
          state: "Nothing was overwritten.",
          next: "Run `partway resume` to continue it, or `partway status` to see where it stands.",
        });
      const { id, server, table, state, at } = m;
      this.#run("createMigration", {
        id,
        server,
        table,
        state,
        at,
        plan,
        settings,
        snapshot: redactedJson(m.snapshot),
      });
    };
    // Nothing has begun: what cannot be entered is bad input, not a run that could be resumed.
    this.#write("create", enter, { problem: (error) => openProblem(this.file, "write", error) });
  }

  /** One migration, or null. */
  migration(id: string): rows.MigrationRecord | null {
    return this.#maybe(rows.MigrationRow, "migration", { id });
  }

  /** All migrations, newest first. */
  migrations(): rows.MigrationRecord[] {
    return this.#all(rows.MigrationRow, "migrations", {});
  }

  /** Records that the machine moved: its new state and snapshot and the phase row, in one transaction. */
  transition(row: {
    migration: string;
    from: string;
    to: string;
    event: string;
    snapshot: unknown;
    outcome: Outcome | null;
    at: string;
  }): void {
    const { migration, from, to, event, outcome, at } = row;
    const move = () => {
      this.#run("addTransition", { migration, from, to, event, outcome, at });
      this.#run("moveMigration", { migration, to, outcome, at, snapshot: redactedJson(row.snapshot) });
    };
    const detail = outcome === null ? `to ${to}` : `to ${to}, ${outcome}`;
    this.#write("transition", move, { driver: migration, detail });
  }

  /** Transitions of a migration, oldest first. */
  transitions(id: string): rows.TransitionRecord[] {
    return this.#all(rows.TransitionRow, "transitions", { id });
  }

  /**
   * Makes `owner` the one process that drives the migration. A dead process of the same host is taken over; one that
   * lives, or that runs on another host, is returned instead, unless `force`. Errors: bad-input for an unknown id.
   */
  claim(
    id: string,
    owner: rows.Owner,
    options: { force?: boolean } = {},
  ): { claimed: true } | { claimed: false; owner: rows.Owner } {
    return this.#write("claim", () => {
      const found = this.migration(id);
      if (found === null)
        throw new PartwayError("bad-input", {
          what: `the journal ${this.file} has no migration ${id}`,
          state: "Nothing was touched.",
          next: "Run `partway status`: it lists the migrations.",
        });
      if (found.owner !== null && options.force !== true && !mayTakeOver(found.owner, owner))
        return { claimed: false, owner: found.owner };
      if (found.owner === null || !isSameOwner(found.owner, owner))
        this.#run("setOwner", { id, ...pick(owner) });
      this.#claims.set(id, pick(owner));
      return { claimed: true };
    });
  }

  /** Gives the migration up. Does nothing when `owner` no longer drives it. */
  release(id: string, owner: rows.Owner): void {
    this.#write("release", () => this.#run("releaseOwner", { id, ...pick(owner) }));
    this.#claims.delete(id);
  }

  /**
   * Errors: `fenced` when this object has claimed the migration and another process has claimed it since. Its own
   * position must stand, so a process that wakes up after a takeover records nothing more.
   */
  #assertDrives(id: string): void {
    const claim = this.#claims.get(id);
    if (claim === undefined) return;
    const owner = this.#maybe(rows.OwnerRow, "owner", { id })?.owner ?? null;
    if (owner === null || !isSameOwner(owner, claim)) throw takenOver(id, owner);
  }

  /** Records a committed batch; again for the same batch replaces its row. */
  batch(id: string, row: rows.BatchRecord): void {
    const { generation, batch, rows: count, ms, at } = row;
    const add = () => this.#run("addBatch", { id, generation, batch, rows: count, ms, at });
    this.#write("batch", add, { driver: id, lasting: false });
  }

  batches(id: string, generation: number): rows.BatchRecord[] {
    return this.#all(rows.BatchRow, "batches", { id, generation });
  }

  /** Every generation's: a copy that started again has several. */
  allBatches(id: string): rows.BatchRecord[] {
    return this.#all(rows.BatchRow, "allBatches", { id });
  }

  /** Records a built index; a rebuilt one replaces its row. */
  indexBuilt(id: string, row: rows.IndexBuildRecord): void {
    const { leaf, index, ms, at } = row;
    this.#write("indexBuilt", () => this.#run("addIndexBuild", { id, leaf, index, ms, at }), {
      driver: id,
      lasting: false,
    });
  }

  indexBuilds(id: string): rows.IndexBuildRecord[] {
    return this.#all(rows.IndexBuildRow, "indexBuilds", { id });
  }

  validation(id: string, row: rows.ValidationRecord): void {
    const { direction, result, rows: count, sourceHash, shadowHash, ms, at } = row;
    const add = () =>
      this.#run("addValidation", { id, direction, result, rows: count, sourceHash, shadowHash, ms, at });
    this.#write("validation", add, { driver: id });
  }

  validations(id: string): rows.ValidationRecord[] {
    return this.#all(rows.ValidationRow, "validations", { id });
  }

  cutover(id: string, row: rows.CutoverRecord): void {
    const { direction, tries, waitedMs, heldMs, longestStallMs, at } = row;
    const add = () => this.#run("addCutover", { id, direction, tries, waitedMs, heldMs, longestStallMs, at });
    this.#write("cutover", add, { driver: id });
  }

  cutovers(id: string): rows.CutoverRecord[] {
    return this.#all(rows.CutoverRow, "cutovers", { id });
  }

  measurement(id: string, row: rows.MeasurementRecord): void {
    const { name, value, at } = row;
    this.#write("measurement", () => this.#run("addMeasurement", { id, name, value, at }), {
      driver: id,
      lasting: false,
    });
  }

  measurements(id: string, name: string): rows.MeasurementRecord[] {
    return this.#all(rows.MeasurementRow, "measurements", { id, name });
  }

  allMeasurements(id: string): rows.MeasurementRecord[] {
    return this.#all(rows.MeasurementRow, "allMeasurements", { id });
  }

  /** Keeps a rehearsal: all of it, and what holds the cutover until it is accepted. The newest of its origin counts. */
  rehearsed(id: string, origin: string, body: unknown, findings: readonly NewFinding[], at: string): void {
    const add = () => {
      const added = this.#run("addRehearsal", { id, origin, body: redactedJson(body), at });
      const rehearsal = Number(added.lastInsertRowid);
      for (const { n, verdict, statement, reason } of findings) {
        const kept = { statement: redact(statement), reason: redact(reason) };
        this.#run("addFinding", { id, rehearsal, n, verdict, ...kept });
      }
    };
    this.#write("rehearsed", add);
  }

  /** The newest rehearsal, as it was given, or null. */
  rehearsal(id: string): { body: unknown; at: string } | null {
    return this.#maybe(rows.RehearsalRow, "rehearsal", { id });
  }

  /** The findings of the newest rehearsal of each origin. */
  findings(id: string): rows.FindingRecord[] {
    return this.#all(rows.FindingRow, "findings", { id });
  }

  /** Accepts findings by their numbers. */
  acceptFindings(id: string, numbers: readonly number[], at: string): void {
    this.#write("acceptFindings", () => {
      for (const n of numbers) this.#run("acceptFinding", { id, n, at });
    });
  }

  /** Keeps an event. Of the noisy kinds only the newest is kept, so that the file stays small over a long run. */
  event(e: RunEvent): void {
    const { migration, event: kind } = e;
    const add = () => {
      if (NOISY.has(kind)) this.#run("dropEventsOfKind", { migration, kind });
      this.#run("addEvent", { migration, kind, body: redactedJson(e) });
    };
    this.#write("event", add, { driver: migration, detail: kind, lasting: false });
  }

  /** Events after `sinceRowid`, oldest first. A rowid is never used twice, so the last one seen is a safe bookmark. */
  events(id: string, sinceRowid = 0): { rowid: number; event: RunEvent }[] {
    return this.#all(rows.EventRow, "events", { id, since: sinceRowid }).map((row) => ({
      rowid: row.id,
      event: this.#parsed(`events, row ${row.id}`, () => parseEvent(row.kind, row.body)),
    }));
  }

  /** Asks the process that drives the migration for something; gives the rowid to look for the answer under. */
  command(id: string, name: Command, at: string): number {
    const add = () => this.#run("addCommand", { id, name: rows.CommandSchema.parse(name), at });
    return Number(this.#write("command", add).lastInsertRowid);
  }

  /**
   * The pending commands, oldest first; each is given out once. Cheap when there are none: it then only reads.
   * Errors: `fenced` when another process has claimed the migration; the commands are for that one.
   */
  takeCommands(id: string): rows.CommandRecord[] {
    this.#assertDrives(id);
    if (this.#get("pendingCommands", { id }) === undefined) return [];
    const take = () => {
      const pending = this.#all(rows.CommandRow, "pendingCommands", { id });
      this.#run("takePending", { id });
      return pending;
    };
    return this.#write("takeCommands", take, { driver: id });
  }

  /**
   * Takes back a command that nobody has taken yet, so that a process which wakes up later does not carry it out.
   * False: it has been taken, and may be carried out.
   */
  withdraw(rowid: number, at: string): boolean {
    return this.#write("withdraw", () => this.#run("withdrawCommand", { rowid, at }).changes > 0);
  }

  answer(rowid: number, ok: boolean, message: string, at: string): void {
    this.#write("answer", () =>
      this.#run("answerCommand", { rowid, ok: ok ? 1 : 0, message: redact(message), at }),
    );
  }

  /** The answer to a command, or null while there is none. */
  commandAnswer(rowid: number): { ok: boolean; message: string } | null {
    return this.#maybe(rows.AnswerRow, "commandAnswer", { rowid });
  }

  /**
   * Answers "no" with `message` to every command that has no answer: those a dead process left behind. For a process
   * that has just claimed the migration, so that yesterday's `rollback` is not carried out today.
   */
  expireCommands(id: string, message: string, at: string): void {
    const expire = () => this.#run("expireCommands", { id, message: redact(message), at });
    this.#write("expireCommands", expire, { driver: id });
  }

  /** Closes the file. May be called twice. */
  close(): void {
    this.#db.close();
  }

  /**
   * The one way to write: an IMMEDIATE transaction (which waits for another process's write), counted and announced.
   * `driver`: written as the process that drives this migration, if this object has claimed it. `detail`: what else
   * the announcement says.
   */
  #write<T>(
    label: string,
    work: () => T,
    {
      driver,
      problem,
      detail,
      lasting = true,
    }: {
      driver?: string;
      problem?: (error: unknown) => PartwayError;
      detail?: string;
      /** On the disk before the next step begins; else it is with the next write that lasts. */
      lasting?: boolean;
    } = {},
  ): T {
    if (this.#db.readonly) throw new Error(`the journal ${this.file} was opened for reading: ${label}`);
    // SQLite would go on writing into the file that has no name any more, and nobody would ever read it.
    if (fileId(this.file) !== this.#fileId) throw replaced(this.file, label);
    this.#writes += 1;
    const n = this.#writes;
    const announce = (point: "before" | "inside" | "after") =>
      this.#onWrite?.({ n, label: detail === undefined ? label : `${label} ${detail}`, point });
    announce("before");
    let result: T;
    try {
      // What is only told need not outlive a power cut, and a thousand leaves tell ten thousand things: fsync took most
      // of the index phase, and while it waits for a busy disk no worker gets its next batch. A killed process loses
      // nothing either way. Each write says its own level: one that failed leaves none behind for the next.
      this.#db.pragma(`synchronous = ${lasting ? "FULL" : "NORMAL"}`);
      result = this.#db
        .transaction(() => {
          if (driver !== undefined) this.#assertDrives(driver);
          const value = work();
          announce("inside");
          return value;
        })
        .immediate();
    } catch (error) {
      throw problem?.(error) ?? writeProblem(this.file, label, error);
    }
    announce("after");
    return result;
  }

  #prepared(name: Name): Statement<[Params]> {
    const known = this.#statements.get(name);
    if (known !== undefined) return known;
    const made = this.#db.prepare<[Params]>(SQL[name]);
    this.#statements.set(name, made);
    return made;
  }

  /** Runs a statement. Only inside `#write`. */
  #run(name: Name, params: Params): RunResult {
    return this.#prepared(name).run(params);
  }

  #get(name: Name, params: Params): unknown {
    return this.#parsed(name, () => this.#prepared(name).get(params));
  }

  #maybe<T>(schema: z.ZodType<T>, name: Name, params: Params): T | null {
    const row = this.#get(name, params);
    return row === undefined ? null : this.#parsed(name, () => schema.parse(row));
  }

  #all<T>(schema: z.ZodType<T>, name: Name, params: Params): T[] {
    return this.#parsed(name, () =>
      this.#prepared(name)
        .all(params)
        .map((row) => schema.parse(row)),
    );
  }

  #parsed<T>(where: string, read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw readProblem(this.file, where, error);
    }
  }
}

/** Owner as parameters, without anything else the caller's object may carry. */
function pick(owner: rows.Owner): { pid: number; host: string; startedAt: string } {
  return { pid: owner.pid, host: owner.host, startedAt: owner.startedAt };
}

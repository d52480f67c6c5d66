/**
 * Filling the change log from the slot. One transaction reads what was committed, adds its keys to the log and notes how
 * far it has come; only after its COMMIT is the slot moved, under the note's lock: of several readers one at a time is
 * at the slot. Killed in between, the next reading moves it first; what is read twice all the same is left out by the
 * note: each change stands in the log exactly once.
 */
import { setTimeout as sleep } from "node:timers/promises";
import prettyBytes from "pretty-bytes";
import { z } from "zod";
import type { RunEventBody } from "../../state/events.js";
import { PartwayError } from "../errors.js";
import type { Lease } from "../pg/lease.js";
import { ident, literal } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import type { Plan } from "../plan/types.js";
import { logType } from "../sync/capture.js";
import { pairColumns, sidesOf } from "../sync/pairs.js";
import { Changes, type LogRow } from "./changes.js";
import { parseMessage } from "./pgoutput.js";
import { CaptureLost, inUse, keeps, readerOf, slotStatus, walNames, whyLost } from "./slot.js";

export interface FillContext {
  plan: Plan;
  lease: Lease;
  signal: AbortSignal;
  emit(event: RunEventBody): void;
}

export interface Filled {
  /** Rows added to the change log. */
  rows: number;
  /** There was no more to read. */
  complete: boolean;
  /** Everything that was committed before it is in the log. */
  readTo: bigint;
}

/** Messages after which a reading ends, at the end of a transaction. */
const MESSAGES = 20_000;
/** Messages that pass through this process at a time. */
const PIECE = 2000;
/** The slot is moved on after so many bytes of WAL that had nothing for it. */
const IDLE_BYTES = 1_048_576n;
/** More than this is not kept by a slot that has nothing to read: one segment of WAL. */
const KEPT_BYTES = 16_777_216;

const SQL = {
  flushed: /*sql*/ `SELECT pg_current_wal_flush_lsn()::text AS lsn`,
  inserted: /*sql*/ `SELECT pg_current_wal_insert_lsn()::text AS lsn`,
  position: (table: string) => /*sql*/ `SELECT lsn::text AS lsn FROM ${table} FOR UPDATE`,
  move: (table: string) => /*sql*/ `UPDATE ${table} SET lsn = $1::pg_lsn`,
  touch: (table: string) => /*sql*/ `UPDATE ${table} SET touched = touched + 1`,
  behind: /*sql*/ `
SELECT (confirmed_flush_lsn < $2::pg_lsn)::text AS behind FROM pg_replication_slots WHERE slot_name = $1`,
  keepsMuch: /*sql*/ `
SELECT (pg_wal_lsn_diff($2::pg_lsn, restart_lsn) > $3::numeric)::text AS yes FROM pg_replication_slots WHERE slot_name = $1`,
  advance: /*sql*/ `SELECT pg_replication_slot_advance($1, $2::pg_lsn)`,
  /** A function's rows are kept by the server, in a file when they are many, and come in pieces. */
  peek: (slot: string, upTo: string, limit: number) => /*sql*/ `
DECLARE partway_changes NO SCROLL CURSOR FOR SELECT encode(data, 'base64') AS data
  FROM pg_logical_slot_peek_binary_changes(${literal(slot)}, ${literal(upTo)}, ${limit}, 'proto_version', '1',
       'publication_names', ${literal(ident(slot))})`,
  fetch: /*sql*/ `FETCH ${PIECE} FROM partway_changes`,
  close: /*sql*/ `CLOSE partway_changes`,
  snapshot: /*sql*/ `SELECT pg_current_snapshot()::text AS snapshot`,
} as const;

const Lsn = z.object({ lsn: z.string() });

/** `16/B374D848` as a number of bytes. */
export function lsnOf(text: string): bigint {
  const [high, low] = text.split("/");
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

export function lsnText(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffffffffn).toString(16)}`.toUpperCase();
}

function insertSql(plan: Plan): string {
  const { log } = sidesOf(plan, "forward");
  const columns = pairColumns(plan);
  const names = columns.map((c) => ident(c.name)).join(", ");
  const values = columns.map((c, at) => `(e->>${at + 2})::${logType(plan, c)}`).join(", ");
  return `INSERT INTO ${log} (partway_seq, partway_op, ${names})
SELECT (e->>0)::uuid, (e->>1)::"char", ${values} FROM json_array_elements($1::json) AS e`;
}

interface Read {
  rows: number;
  xids: number[];
  complete: boolean;
  /** The end of the last commit that was read. */
  end: bigint | null;
}

/** Reads up to `upTo` and adds the keys to the log, inside the caller's transaction. */
async function read(session: Session, plan: Plan, from: bigint, upTo: string, limit: number): Promise<Read> {
  const changes = new Changes(plan, from);
  const insert = insertSql(plan);
  let [rows, messages] = [0, 0];
  await session.query(SQL.peek(walNames(plan).slot, upTo, limit));
  for (;;) {
    const piece = (await session.query(SQL.fetch)).rows;
    const found: LogRow[] = piece.flatMap((row) =>
      changes.take(parseMessage(Buffer.from(row["data"] ?? "", "base64"))),
    );
    if (found.length > 0) await session.query(insert, [JSON.stringify(found)], "wal_insert");
    rows += found.length;
    messages += piece.length;
    if (piece.length < PIECE) break;
  }
  await session.query(SQL.close);
  return { rows, xids: changes.xids, complete: messages < limit, end: changes.end };
}

/** Where the reading stands then. A commit record that begins before the limit is read whole. */
function reached({ complete, end }: Read, from: bigint, upTo: bigint): bigint {
  const candidates = [from, end ?? from, complete ? upTo : from];
  return candidates.reduce((most, one) => (one > most ? one : most));
}

/**
 * Waits until every snapshot to come sees these transactions. The log has a commit before it can be seen (with
 * synchronous replication, long before): whoever applied it then would copy the row as it was, and forget the key.
 */
async function untilVisible(session: Session, xids: readonly number[], signal: AbortSignal): Promise<void> {
  for (let wait = 1; ; wait = Math.min(wait * 2, 50)) {
    const { snapshot } = await session.one(z.object({ snapshot: z.string() }), SQL.snapshot);
    if (allVisible(snapshot, xids)) return;
    await sleep(wait, undefined, { signal });
  }
}

/** `snapshot` is `xmin:xmax:xip,...` in 64 bits; an xid of the log has 32, and is less than 2^31 away from xmax. */
export function allVisible(snapshot: string, xids: readonly number[]): boolean {
  const [, next = "0", list = ""] = snapshot.split(":");
  const xmax = BigInt(next);
  const running = new Set(list === "" ? [] : list.split(",").map(BigInt));
  return xids.every((xid) => {
    const near = BigInt.asIntN(32, BigInt(xid) - BigInt.asUintN(32, xmax));
    return near < 0n && !running.has(xmax + near);
  });
}

/**
 * The noted position, its row locked until the caller's transaction ends. The slot is brought there where it is not: a
 * reading that had to pass what is in the log already would, after a large transaction, never come to what is new.
 */
async function atPosition(session: Session, plan: Plan): Promise<bigint> {
  const { slot, position } = walNames(plan);
  const { lsn } = await session.one(Lsn, SQL.position(position));
  const slotNow = await session.maybe(z.object({ behind: z.string().nullable() }), SQL.behind, [slot, lsn]);
  // It does not go back with this transaction, and need not: the note was committed by an earlier one.
  if (slotNow?.behind === "true") await session.query(SQL.advance, [slot, lsn]);
  return lsnOf(lsn);
}

/**
 * Reads once. Errors: CaptureLost when the slot is; `refused` while a session that is not Partway's reads from it for
 * longer than ten seconds.
 */
export async function fill(session: Session, context: FillContext): Promise<Filled> {
  const { plan, lease } = context;
  const done = await atSlot(session, context, () => fillOnce(session, context));
  if (!done.isMoved) return done;
  try {
    await atSlot(session, context, () => lease.tx(session, () => atPosition(session, plan)), 0);
  } catch (error) {
    // Somebody looks into it: the next reading moves it.
    if (sqlState(error) !== SQLSTATE.objectInUse) throw error;
  }
  return done;
}

/** A reading for a drain; false when there is more to be read at once. It fails when `until` fires. Errors: as `fill`. */
export function filling(context: FillContext): (session: Session, until?: AbortSignal) => Promise<boolean> {
  return async (session, until) => {
    const signal = until === undefined ? context.signal : AbortSignal.any([context.signal, until]);
    return (await fill(session, { ...context, signal })).complete;
  };
}

/** `work` at the slot, again while another session is there; after `waits` times 100 ms a stranger is named. */
async function atSlot<T>(
  session: Session,
  { plan, signal }: FillContext,
  work: () => Promise<T>,
  waits = 100,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof PartwayError || signal.aborted || session.lost) throw error;
      const why = sqlState(error) === null ? null : await whyLost(session, plan);
      if (why !== null) throw new CaptureLost(why, { cause: error });
      if (sqlState(error) !== SQLSTATE.objectInUse || waits === 0) throw error;
      const reader = await readerOf(session, plan);
      // One of our own that is on its way out.
      if (tries >= waits && reader?.isOurs !== true) throw inUse(plan, reader?.pid ?? null);
      await sleep(100, undefined, { signal });
    }
  }
}

async function fillOnce(session: Session, context: FillContext): Promise<Filled & { isMoved: boolean }> {
  const { plan, lease, signal } = context;
  return lease.tx(session, async () => {
    const from = await atPosition(session, plan);
    const flushed = (await session.one(Lsn, SQL.flushed)).lsn;
    const found = await read(session, plan, from, flushed, MESSAGES);
    const to = reached(found, from, lsnOf(flushed));
    const isMoved =
      found.rows > 0 ||
      to - from > IDLE_BYTES ||
      (to > from && (!found.complete || (await keepsMuch(session, plan, flushed))));
    if (isMoved) await session.query(SQL.move(walNames(plan).position), [lsnText(to)]);
    await untilVisible(session, found.xids, signal);
    return { rows: found.rows, complete: found.complete, readTo: to, isMoved };
  });
}

/**
 * The server lets go of WAL behind a note of its own (every 15 s at most) that the slot has passed. Where nobody writes, no
 * megabyte would ever come to pass it for: a copy that is held because of what the slot keeps would be held for ever.
 */
async function keepsMuch(session: Session, plan: Plan, flushed: string): Promise<boolean> {
  const Row = z.object({ yes: z.string().nullable() });
  const found = await session.maybe(Row, SQL.keepsMuch, [walNames(plan).slot, flushed, KEPT_BYTES]);
  return found?.yes === "true";
}

/** A COMMIT that the server has on its disk has everything before it there too, whoever wrote with synchronous_commit off. */
async function flush(session: Session, plan: Plan): Promise<void> {
  await session.tx(async () => {
    await session.query("SET LOCAL synchronous_commit = local");
    await session.query(SQL.touch(walNames(plan).position));
  });
}

/** A reading that takes longer says how far it has come, as often, ms. */
const SAY_AFTER_MS = 5_000;

/**
 * Reads until everything that was committed when it was called is in the change log; not for what comes meanwhile, which
 * may be more than a reading takes. Returns the rows added.
 */
export async function fillToNow(session: Session, context: FillContext): Promise<number> {
  const now = lsnOf((await session.one(Lsn, SQL.inserted)).lsn);
  if (lsnOf((await session.one(Lsn, SQL.flushed)).lsn) < now) await flush(session, context.plan);
  let rows = 0;
  let saidAt = performance.now();
  for (;;) {
    context.signal.throwIfAborted();
    const filled = await fill(session, context);
    rows += filled.rows;
    if (filled.readTo >= now) return rows;
    if (performance.now() - saidAt < SAY_AFTER_MS) continue;
    saidAt = performance.now();
    const message = `reading the write-ahead log: ${prettyBytes(Number(now - filled.readTo))} of it to go, ${rows} changes found`;
    context.emit({ event: "log", level: "info", message });
  }
}

/**
 * Inside the cutover's lock, in its transaction: nobody can commit a change of the source any more. Another session's
 * COMMIT brings the last commit records to the server's disk, up to where decoding reads. False: more than `limit`
 * messages came since the last reading.
 */
export async function fillInLock(
  session: Session,
  observer: Session,
  plan: Plan,
  limit: number,
): Promise<boolean> {
  await flush(observer, plan);
  const upTo = (await observer.one(Lsn, SQL.flushed)).lsn;
  const from = await atPosition(session, plan);
  const found = await read(session, plan, from, upTo, limit);
  return found.complete;
}

/** Longest time that a moment for the lock is waited for, ms. */
const QUICK_WITHIN_MS = 60_000;

/**
 * Reads until a reading takes less than `ms`: inside the lock it will take as long. Each begins where the oldest running
 * transaction did, or up to 15 s back, where the server last noted which were running.
 */
export async function fillUntilQuick(session: Session, context: FillContext, ms: number): Promise<void> {
  const began = performance.now();
  let isSaid = false;
  for (;;) {
    const from = performance.now();
    const { complete } = await fill(session, context);
    const took = performance.now() - from;
    if (complete && took < ms) return;
    // The hold budget will say it, and give the lock back.
    if (performance.now() - began > QUICK_WITHIN_MS) return;
    const message = `reading the write-ahead log takes ${Math.round(took)} ms, too long for the lock: waiting for a better moment (a transaction that has been open for long makes it long)`;
    if (!isSaid) context.emit({ event: "log", level: "info", message });
    isSaid = true;
    await sleep(500, undefined, { signal: context.signal });
  }
}

/** Says when the slot keeps much WAL: what it may come to at most is the server's setting. */
export class SlotWatch {
  readonly #context: FillContext;
  #lookedAt = 0;
  #saidAbove = 1 << 30;
  #said = "reserved";

  constructor(context: FillContext) {
    this.#context = context;
  }

  /** Looks at most every ten seconds. */
  async look(session: Session): Promise<void> {
    if (performance.now() - this.#lookedAt < 10_000 && this.#lookedAt > 0) return;
    this.#lookedAt = performance.now();
    const found = await slotStatus(session, this.#context.plan);
    if (found === null) return;
    const isWorse = found.status !== this.#said && found.status === "unreserved";
    this.#said = found.status;
    if (found.retainedBytes < this.#saidAbove && !isWorse) return;
    this.#saidAbove = Math.max(this.#saidAbove, found.retainedBytes) * 2;
    this.#context.emit({ event: "log", level: "warn", message: keeps(found) });
  }
}

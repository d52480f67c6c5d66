/** One client's view of its world while an operation runs, and what it does with the server's answers. */
import type { AppConnection, AppRow } from "../../../src/demo/application.js";
import type { Random } from "../../../src/demo/random.js";
import type { Change, OwnRows } from "./rows.js";
import type { WrittenTable } from "./table.js";

export interface Hand {
  db: AppConnection;
  table: WrittenTable;
  own: OwnRows;
  change: Change;
  random: Random;
  /** REPEATABLE READ or SERIALIZABLE: a swap of the tables leaves the transaction with the other one's past. */
  oneSnapshot: boolean;
  /** A transaction block is open. */
  inBlock: boolean;
  /** Share of new rows that get 20 kB. */
  longShare: number;
  /** Rows of a bulk statement. */
  bulk: number;
  /** A key, and a mark, that no other statement of any client has. */
  newKey(): string;
  nextMark(): string;
  /** The table is not as the ledger says. */
  fault(message: string): void;
  /** Something expected and counted. */
  count(what: string): void;
  /** A statement is done: in autocommit its change is now committed. */
  done(): void;
}

/** In one old snapshot after a swap of the tables: UPDATE 0 rows (README). The client looks again with a fresh one. */
export class StaleSnapshot extends Error {
  readonly keys: readonly string[];

  constructor(keys: readonly string[], what: string) {
    super(what);
    this.keys = keys;
  }
}

/** The row of `key` as this client's own transaction must see it; null: none. */
export function imageOf(hand: Pick<Hand, "change" | "own">, key: string): string | null {
  const changed = hand.change.rows.get(key);
  return changed === undefined ? hand.own.get(key) : changed;
}

/** A key with a row; null when some tries find none. */
export function living(hand: Hand): string | null {
  for (let tries = 0; tries < 6; tries++) {
    const key = hand.own.any(hand.random);
    if (key !== undefined && imageOf(hand, key) !== null) return key;
  }
  return null;
}

/** A key that had a row once and has none now. */
export function grave(hand: Hand): string | null {
  for (let tries = 0; tries < 4; tries++) {
    const key = hand.own.grave(hand.random);
    if (key !== undefined && imageOf(hand, key) === null) return key;
  }
  return null;
}

/** Up to `many` different keys with rows. */
export function livingMany(hand: Hand, many: number): string[] {
  const keys = new Set<string>();
  for (let tries = 0; tries < many * 2 && keys.size < many; tries++) {
    const key = living(hand);
    if (key === null) break;
    keys.add(key);
  }
  return [...keys];
}

/** Something is not as the ledger says: a fault, or, in one old snapshot, perhaps only old. */
export function mismatch(hand: Hand, keys: readonly string[], message: string): void {
  if (hand.oneSnapshot) throw new StaleSnapshot(keys, message);
  hand.fault(message);
}

/** Takes over what the server returned; exactly the rows of `keys` must have come back. */
export function record(hand: Hand, name: string, keys: readonly string[], rows: readonly AppRow[]): void {
  const missing = new Set(keys);
  for (const row of rows) {
    const key = row.key ?? "";
    if (!missing.delete(key)) hand.fault(`${name}: key ${key} came back unasked or twice`);
    hand.change.rows.set(key, row.image ?? null);
  }
  const [one] = missing;
  if (one !== undefined)
    mismatch(
      hand,
      [...missing],
      `${name}: ${missing.size} rows not met, key ${one} is not ${imageOf(hand, one) ?? "there"}`,
    );
  hand.change.intended = [];
  hand.change.mark = null;
  hand.done();
}

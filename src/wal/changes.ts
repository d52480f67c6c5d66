/**
 * From messages to rows of the change log. Pure but for what it remembers of the relation. An op says what is known:
 *
 * - `r`: the pair
 * - `k`: the key alone; the row that had it is gone from wherever it was (a DELETE, the old key of an UPDATE)
 * - `u`: the pair a row has now; it may have had another partition key before
 * - `t`: TRUNCATE
 */
import { PartwayError } from "../errors.js";
import type { Plan } from "../plan/types.js";
import { pairColumns } from "../sync/pairs.js";
import { isKeyed } from "./identity.js";
import type { Message, Relation, Value } from "./pgoutput.js";

/** A row of the change log: its number, op, and the columns of the pair as text. */
export type LogRow = [seq: string, op: "r" | "k" | "u" | "t", ...pair: (string | null)[]];

/** Turns messages into log rows, in the order of the commits and of the changes in each. */
export class Changes {
  readonly #plan: Plan;
  readonly #after: bigint;
  readonly #keyed: boolean;
  readonly #names: string[];
  readonly #keys: number;
  /** Where each column of the pair stands in the tuples. */
  #places: number[] = [];
  #begun: { lsn: bigint; isNew: boolean } = { lsn: 0n, isNew: false };
  #ordinal = 0n;
  /** Transactions whose changes are among the rows. */
  readonly xids: number[] = [];
  /** The end of the last commit record that was read, whether it was new or not; null: none. */
  end: bigint | null = null;

  /** `after`: transactions whose commit record begins before it are in the log already. */
  constructor(plan: Plan, after: bigint) {
    this.#plan = plan;
    this.#after = after;
    this.#keyed = isKeyed(plan);
    this.#names = pairColumns(plan).map((column) => column.name);
    this.#keys = plan.key.length;
  }

  /** The rows that one message comes to. */
  take(message: Message): LogRow[] {
    switch (message.kind) {
      case "begin":
        this.#begun = { lsn: message.lsn, isNew: message.lsn >= this.#after };
        this.#ordinal = 0n;
        if (this.#begun.isNew) this.xids.push(message.xid);
        return [];
      case "commit":
        this.end = message.end;
        return [];
      case "relation":
        this.#know(message.relation);
        return [];
      case "other":
        return [];
      default:
        return this.#begun.isNew ? this.#rows(message) : [];
    }
  }

  /** The publication has one table. */
  #know(relation: Relation): void {
    this.#places = this.#names.map((name) => relation.columns.indexOf(name));
    const missing = this.#names.filter((_, at) => (this.#places[at] ?? -1) < 0);
    if (missing.length > 0)
      throw unseen(this.#plan, missing.join(", "), "is no longer a column that is sent");
  }

  #rows(message: Exclude<Message, { kind: "begin" | "commit" | "relation" | "other" }>): LogRow[] {
    if (message.kind === "truncate")
      return [
        this.#row(
          "t",
          this.#names.map(() => null),
        ),
      ];
    if (message.kind === "insert") return [this.#row("r", this.#pair(message.now, null))];
    if (message.kind === "delete") return [this.#gone(message.old)];
    const now = this.#pair(message.now, message.old);
    if (message.old === null) return [this.#row(this.#keyed ? "u" : "r", now)];
    const old = this.#keyed ? this.#key(message.old) : this.#pair(message.old, null);
    const same = old.every((value, at) => value === now[at]);
    if (this.#keyed) return same ? [this.#row("u", now)] : [this.#gone(message.old), this.#row("r", now)];
    return same ? [this.#row("r", now)] : [this.#row("r", old), this.#row("r", now)];
  }

  #gone(old: Value[]): LogRow {
    if (!this.#keyed) return this.#row("r", this.#pair(old, null));
    const key = this.#key(old);
    return this.#row("k", [...key, ...this.#names.slice(key.length).map(() => null)]);
  }

  #row(op: LogRow[1], pair: (string | null)[]): LogRow {
    const seq = hex(this.#begun.lsn) + hex(this.#ordinal);
    this.#ordinal += 1n;
    return [seq, op, ...pair];
  }

  #key(values: Value[]): (string | null)[] {
    return this.#pair(values, null, this.#keys);
  }

  /** A large value that was not changed is not sent with the new row; the old one has it when it is of the identity. */
  #pair(values: Value[], old: Value[] | null, count = this.#names.length): (string | null)[] {
    return this.#places.slice(0, count).map((place, at) => {
      const value = values[place] ?? (values[place] === null ? null : old?.[place]);
      if (value === undefined)
        throw unseen(
          this.#plan,
          this.#names[at] ?? "",
          "has a value so large that an UPDATE does not send it",
        );
      return value;
    });
  }
}

/** 16 digits: log rows order as their numbers do. */
function hex(number: bigint): string {
  return number.toString(16).padStart(16, "0");
}

function unseen(plan: Plan, column: string, why: string): PartwayError {
  const { schema, source } = plan.names;
  return new PartwayError("refused", {
    what: `changes of ${schema}.${source} cannot be read from the write-ahead log: column ${column} ${why}`,
    state: `Nothing was switched, and ${schema}.${source} has every row.`,
    next: `partway abort ${plan.id}, then plan again with --capture trigger.`,
  });
}

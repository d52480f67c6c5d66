/**
 * The messages of the server's own output plugin, pgoutput, protocol version 1 (PostgreSQL manual, "Logical Replication
 * Message Formats"). Values are text, as the session that reads them shows them. Pure.
 */

/** A column's value: text, `null` for NULL, `undefined` where it is a large value that was not changed and not sent. */
export type Value = string | null | undefined;

export interface Relation {
  oid: number;
  schema: string;
  name: string;
  /** In the order of the values. */
  columns: string[];
}

export type Message =
  /** `lsn`: where the commit record begins. `xid`: the transaction's number, 32 bits. */
  | { kind: "begin"; lsn: bigint; xid: number }
  /** `end`: where the commit record ends. */
  | { kind: "commit"; lsn: bigint; end: bigint }
  | { kind: "relation"; relation: Relation }
  | { kind: "insert"; oid: number; now: Value[] }
  /** `old` when the replica identity was changed, or is FULL; outside of it the values are NULL. */
  | { kind: "update"; oid: number; old: Value[] | null; now: Value[] }
  | { kind: "delete"; oid: number; old: Value[] }
  | { kind: "truncate"; oids: number[] }
  /** Origin, type and what a later server may add: nothing that changes a row. */
  | { kind: "other"; letter: string };

/** Reads one message. Errors: one that ends too early, or is not built as the manual says. */
export function parseMessage(bytes: Buffer): Message {
  const read = new Reader(bytes);
  const letter = read.letter();
  switch (letter) {
    case "B": {
      const lsn = read.int64();
      read.int64();
      return { kind: "begin", lsn, xid: read.uint32() };
    }
    case "C": {
      read.uint8();
      const [lsn, end] = [read.int64(), read.int64()];
      read.int64();
      return { kind: "commit", lsn, end };
    }
    case "R":
      return { kind: "relation", relation: relationOf(read) };
    case "I": {
      const oid = read.uint32();
      read.expect("N");
      return { kind: "insert", oid, now: tupleOf(read) };
    }
    case "U": {
      const oid = read.uint32();
      const first = read.letter();
      const old = first === "K" || first === "O" ? tupleOf(read) : null;
      if (old !== null) read.expect("N");
      else if (first !== "N") throw malformed(`an update with the part ${first}`);
      return { kind: "update", oid, old, now: tupleOf(read) };
    }
    case "D": {
      const oid = read.uint32();
      const part = read.letter();
      if (part !== "K" && part !== "O") throw malformed(`a delete with the part ${part}`);
      return { kind: "delete", oid, old: tupleOf(read) };
    }
    case "T": {
      const count = read.uint32();
      read.uint8();
      return { kind: "truncate", oids: Array.from({ length: count }, () => read.uint32()) };
    }
    default:
      return { kind: "other", letter };
  }
}

function relationOf(read: Reader): Relation {
  const oid = read.uint32();
  const schema = read.text();
  const name = read.text();
  read.uint8();
  const columns = Array.from({ length: read.uint16() }, () => {
    read.uint8();
    const column = read.text();
    read.uint32();
    read.uint32();
    return column;
  });
  return { oid, schema, name, columns };
}

function tupleOf(read: Reader): Value[] {
  return Array.from({ length: read.uint16() }, () => {
    const kind = read.letter();
    if (kind === "n") return null;
    if (kind === "u") return undefined;
    if (kind === "t") return read.bytes(read.uint32());
    throw malformed(`a value of kind ${kind}`);
  });
}

function malformed(what: string): Error {
  return new Error(`pgoutput sent ${what}, which its protocol 1 does not have`);
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  uint8(): number {
    return this.#bytes.readUInt8(this.#step(1));
  }

  uint16(): number {
    return this.#bytes.readUInt16BE(this.#step(2));
  }

  uint32(): number {
    return this.#bytes.readUInt32BE(this.#step(4));
  }

  int64(): bigint {
    return this.#bytes.readBigUInt64BE(this.#step(8));
  }

  letter(): string {
    return String.fromCharCode(this.uint8());
  }

  expect(letter: string): void {
    const found = this.letter();
    if (found !== letter) throw malformed(`the part ${found} where ${letter} belongs`);
  }

  bytes(length: number): string {
    const from = this.#step(length);
    return this.#bytes.toString("utf8", from, from + length);
  }

  /** Up to a zero byte. */
  text(): string {
    const end = this.#bytes.indexOf(0, this.#at);
    if (end < 0) throw malformed("a name without an end");
    const text = this.#bytes.toString("utf8", this.#at, end);
    this.#at = end + 1;
    return text;
  }

  #step(length: number): number {
    const from = this.#at;
    if (from + length > this.#bytes.length) throw malformed("a message that ends too early");
    this.#at = from + length;
    return from;
  }
}

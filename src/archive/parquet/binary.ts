/**
 * COPY's binary format, read as it comes: PostgreSQL's own bytes of every value, so that nothing is lost on the way
 * through a text. https://www.postgresql.org/docs/current/sql-copy.html (Binary Format)
 */
const SIGNATURE = Buffer.from("PGCOPY\n\u00ff\r\n\0", "latin1");
const HEAD_BYTES = SIGNATURE.length + 8;
const NO_VALUE = -1;

/** Takes each value in turn; null is NULL. */
type Sink = (column: number, bytes: Buffer | null) => void;

/** Bytes in the order in which they came. */
class Queue {
  readonly #chunks: Buffer[] = [];
  /** Where the first unread byte is in the first chunk. */
  #at = 0;
  #bytes = 0;

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** The next `size` bytes; null: they are not all there yet. */
  take(size: number): Buffer | null {
    if (this.#bytes < size) return null;
    this.#bytes -= size;
    const parts: Buffer[] = [];
    let missing = size;
    for (;;) {
      const [first] = this.#chunks;
      if (first === undefined || missing === 0) break;
      const part = first.subarray(this.#at, this.#at + missing);
      missing -= part.length;
      this.#at += part.length;
      if (this.#at === first.length) {
        this.#chunks.shift();
        this.#at = 0;
      }
      parts.push(part);
    }
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts, size);
  }
}

/** `columns`: how many a row has. `tooLong`: throws for a column's value of so many bytes, before they are waited for. */
export class BinaryRows {
  readonly #queue = new Queue();
  readonly #columns: number;
  readonly #sink: Sink;
  readonly #tooLong: (column: number, bytes: number) => void;
  #isBegun = false;
  #isEnded = false;
  /** The column whose value comes next; null: a row does. */
  #column: number | null = null;
  /** Of the value that comes next; null: its length does. */
  #length: number | null = null;

  constructor(columns: number, sink: Sink, tooLong: (column: number, bytes: number) => void) {
    this.#columns = columns;
    this.#sink = sink;
    this.#tooLong = tooLong;
  }

  push(chunk: Buffer): void {
    this.#queue.push(chunk);
  }

  /** Hands the values of one row on; false: it is not all there yet, or there is no other. */
  next(): boolean {
    if (!this.#isBegun && !this.#begin()) return false;
    if (this.#isEnded) return false;
    if (this.#column === null) {
      const head = this.#queue.take(2);
      if (head === null) return false;
      const count = head.readInt16BE();
      this.#isEnded = count === -1;
      if (this.#isEnded) return false;
      if (count !== this.#columns) throw new Error(`COPY gave a row of ${count} columns`);
      this.#column = 0;
    }
    while (this.#column < this.#columns) {
      if (!this.#value(this.#column)) return false;
      this.#column += 1;
    }
    this.#column = null;
    return true;
  }

  /** Errors: the server's data has no end. */
  assertEnded(): void {
    if (!this.#isEnded) throw new Error("COPY ended in the middle of its data");
  }

  #value(column: number): boolean {
    if (this.#length === null) {
      const head = this.#queue.take(4);
      if (head === null) return false;
      this.#length = head.readInt32BE();
      this.#tooLong(column, this.#length);
    }
    const bytes = this.#length === NO_VALUE ? null : this.#queue.take(this.#length);
    if (bytes === null && this.#length !== NO_VALUE) return false;
    this.#length = null;
    this.#sink(column, bytes);
    return true;
  }

  #begin(): boolean {
    const head = this.#queue.take(HEAD_BYTES);
    if (head === null) return false;
    const isKnown = head.subarray(0, SIGNATURE.length).equals(SIGNATURE) && head.readInt32BE(11) === 0;
    if (!isKnown || head.readInt32BE(15) !== 0) throw new Error("COPY gave no binary data that is known");
    this.#isBegun = true;
    return true;
  }
}

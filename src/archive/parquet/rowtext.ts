/** Rows in COPY's text format. https://www.postgresql.org/docs/current/sql-copy.html (Text Format) */
import type { Value } from "./values.js";

const FULL = 256 * 1024;
const [TAB, NEWLINE, RETURN, BACKSLASH] = [0x09, 0x0a, 0x0d, 0x5c];
const ESCAPED = new Map([
  [TAB, 0x74],
  [NEWLINE, 0x6e],
  [RETURN, 0x72],
  [BACKSLASH, BACKSLASH],
]);

type Print = (value: Exclude<Value, null>) => string | Uint8Array;

export class RowText {
  readonly #print: readonly Print[];
  #buffer = Buffer.allocUnsafe(2 * FULL);
  #at = 0;

  constructor(print: readonly Print[]) {
    this.#print = print;
  }

  /** Adds that row of the columns; gives what is full, or null. */
  add(columns: readonly (readonly Value[])[], row: number): Buffer | null {
    for (const [at, values] of columns.entries()) {
      if (at > 0) this.#byte(TAB);
      const value = values[row];
      if (value === null || value === undefined) this.#ascii("\\N");
      else {
        const text = this.#print[at]?.(value) ?? "";
        if (typeof text === "string") this.#ascii(text);
        else this.#escaped(text);
      }
    }
    this.#byte(NEWLINE);
    return this.#at >= FULL ? this.take() : null;
  }

  take(): Buffer {
    const full = this.#buffer.subarray(0, this.#at);
    this.#buffer = Buffer.allocUnsafe(2 * FULL);
    this.#at = 0;
    return full;
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(2 * (this.#at + bytes));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }

  #byte(byte: number): void {
    this.#room(1);
    this.#buffer[this.#at++] = byte;
  }

  #ascii(text: string): void {
    this.#room(text.length);
    this.#at += this.#buffer.write(text, this.#at, "latin1");
  }

  #escaped(bytes: Uint8Array): void {
    this.#room(2 * bytes.length);
    for (const byte of bytes) {
      const letter = ESCAPED.get(byte);
      if (letter !== undefined) this.#buffer[this.#at++] = BACKSLASH;
      this.#buffer[this.#at++] = letter ?? byte;
    }
  }
}

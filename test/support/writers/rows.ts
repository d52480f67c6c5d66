/** The exact ledger: what one client knows of its own keys, and what its open transaction has changed so far. */
import type { Random } from "../../../src/demo/random.js";

/** A truncation that was committed: of the whole table (`keys` null), or of one leaf that held these keys. */
export interface Void {
  n: number;
  keys: readonly string[] | null;
}

const GRAVES = 300;

/** A client's keys and their last committed rows. No two clients have a key in common. */
export class OwnRows {
  /** key -> image of its row. A key without one has no row. */
  readonly #rows = new Map<string, string>();
  readonly #alive: string[] = [];
  readonly #at = new Map<string, number>();
  readonly #graves: string[] = [];
  /** The last truncation these rows know of. */
  generation = 0;

  get rows(): ReadonlyMap<string, string> {
    return this.#rows;
  }

  get(key: string): string | null {
    return this.#rows.get(key) ?? null;
  }

  /** A commit made this the key's row; null: it has none now. */
  set(key: string, image: string | null): void {
    if (image === null) this.#remove(key);
    else {
      if (!this.#rows.has(key)) this.#at.set(key, this.#alive.push(key) - 1);
      this.#rows.set(key, image);
    }
  }

  /** Rows of before a truncation are void. */
  apply(voids: readonly Void[]): void {
    for (const { n, keys } of voids) {
      if (n <= this.generation) continue;
      this.generation = n;
      for (const key of keys ?? [...this.#rows.keys()]) this.#remove(key);
    }
  }

  /** Any key with a row, each as likely. */
  any(random: Random): string | undefined {
    return this.#alive[random.below(this.#alive.length)];
  }

  /** A key whose row was deleted. */
  grave(random: Random): string | undefined {
    return this.#graves[random.below(this.#graves.length)];
  }

  #remove(key: string): void {
    if (!this.#rows.delete(key)) return;
    const at = this.#at.get(key);
    const last = this.#alive.pop();
    if (at !== undefined && last !== undefined && last !== key) {
      this.#alive[at] = last;
      this.#at.set(last, at);
    }
    this.#at.delete(key);
    if (this.#graves.length < GRAVES) this.#graves.push(key);
    else this.#graves[this.#rows.size % GRAVES] = key;
  }
}

/** Changes not yet committed. */
export class Change {
  /** key -> image after the change, null: deleted. */
  readonly rows = new Map<string, string | null>();
  /** Keys of a statement whose answer has not come yet. */
  intended: readonly string[] = [];
  /** The mark of rows of an INSERT whose answer has not come yet. */
  mark: string | null = null;

  /** What to go back to on ROLLBACK TO SAVEPOINT. */
  save(): ReadonlyMap<string, string | null> {
    return new Map(this.rows);
  }

  restore(saved: ReadonlyMap<string, string | null>): void {
    this.rows.clear();
    for (const [key, image] of saved) this.rows.set(key, image);
    this.intended = [];
    this.mark = null;
  }
}

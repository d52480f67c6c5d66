/** What one transaction of the application has changed so far, and the keys that one client may touch. */
import type { Ledger } from "./ledger.js";
import type { Random } from "./random.js";

/** Changes not yet committed. */
export class Change {
  /** key -> image after the change, null: deleted. */
  readonly rows = new Map<number, string | null>();
  /** Keys of a statement whose answer has not come yet. */
  intended: readonly number[] = [];
  /** The mark in the payload of rows of an INSERT whose answer has not come yet. */
  mark: string | null = null;

  /** What to go back to on ROLLBACK TO SAVEPOINT. */
  save(): ReadonlyMap<number, string | null> {
    return new Map(this.rows);
  }

  restore(saved: ReadonlyMap<number, string | null>): void {
    this.rows.clear();
    for (const [key, image] of saved) this.rows.set(key, image);
  }
}

/**
 * The keys of one client: initial ids that leave its number when divided by the number of clients, and every id it
 * made itself. So no two clients ever write one key, and their ledgers need no order between them.
 */
export class OwnKeys {
  readonly #made: number[] = [];
  readonly #graves: number[] = [];
  readonly #ledger: Ledger;
  readonly #random: Random;
  readonly #number: number;
  readonly #clients: number;

  constructor(ledger: Ledger, random: Random, number: number, clients: number) {
    this.#ledger = ledger;
    this.#random = random;
    this.#number = number;
    this.#clients = clients;
  }

  /** An id from before the writer began, perhaps without a row; null when this client has none. */
  initial(): number | null {
    const own = Math.floor((this.#ledger.maxInitial - this.#number) / this.#clients) + 1;
    const key = this.#number + this.#random.below(Math.max(own, 0)) * this.#clients;
    return own <= 0 || key < 1 ? null : key;
  }

  /** A key this client made that has a row now; null when some tries find none. */
  made(imageOf: (key: number) => string | null | undefined): number | null {
    for (let tries = 0; tries < 8 && this.#made.length > 0; tries++) {
      const key = this.#made[this.#random.below(this.#made.length)];
      if (key !== undefined && (imageOf(key) ?? null) !== null) return key;
    }
    return null;
  }

  /** A key whose row this client deleted; null when there is none. */
  grave(imageOf: (key: number) => string | null | undefined): number | null {
    while (this.#graves.length > 0) {
      const at = this.#random.below(this.#graves.length);
      const key = this.#graves[at];
      if (key !== undefined && imageOf(key) === null) return key;
      this.#graves.splice(at, 1);
    }
    return null;
  }

  /** To be called for every key of a commit. */
  committed(key: number, image: string | null, before: string | null | undefined): void {
    if (before === undefined) this.#made.push(key);
    if (image === null) this.#graves.push(key);
  }
}

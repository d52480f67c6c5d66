/** How much is taken from whom: requests a minute, and requests at work at a time. */

/** Buckets that are full again are forgotten; of others the oldest go, so that no flood of addresses fills the memory. */
const MOST_BUCKETS = 10_000;

/** A bucket for each key, with a minute's worth in it, that fills up again evenly. */
export class RateLimit {
  readonly #perMinute: number;
  readonly #now: () => number;
  readonly #buckets = new Map<string, { left: number; at: number }>();

  /** `now` in ms, ever growing. */
  constructor(perMinute: number, now: () => number = () => performance.now()) {
    this.#perMinute = perMinute;
    this.#now = now;
  }

  /** Takes one. 0: granted; else the seconds until there is one again. */
  take(key: string): number {
    const bucket = this.#filled(key);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > MOST_BUCKETS) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    if (bucket.left < 1) return Math.ceil(((1 - bucket.left) * 60) / this.#perMinute);
    bucket.left -= 1;
    return 0;
  }

  #filled(key: string): { left: number; at: number } {
    const now = this.#now();
    const known = this.#buckets.get(key);
    if (known === undefined) return { left: this.#perMinute, at: now };
    const grown = known.left + ((now - known.at) * this.#perMinute) / 60_000;
    return { left: Math.min(this.#perMinute, grown), at: now };
  }
}

/** The gate is full: come back later. */
export class TooMany extends Error {
  constructor() {
    super("too many requests are at work or waiting");
    this.name = "TooMany";
  }
}

/** Lets `atOnce` through at a time and keeps `waiting` more; each takes two connections of the database. */
export class Gate {
  readonly #atOnce: number;
  readonly #most: number;
  #inside = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(atOnce: number, waiting: number) {
    this.#atOnce = atOnce;
    this.#most = waiting;
  }

  /** Errors: `TooMany`; whatever `work` throws. */
  async through<T>(work: () => Promise<T>): Promise<T> {
    if (this.#inside < this.#atOnce) this.#inside += 1;
    else {
      if (this.#waiting.length >= this.#most) throw new TooMany();
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      // The place is handed on, so that nobody who has just come takes it from who waits.
      const next = this.#waiting.shift();
      if (next === undefined) this.#inside -= 1;
      else next();
    }
  }
}

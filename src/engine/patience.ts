/**
 * How long a run bears with a server that is away, silent, or that drops its connections. Everything is a multiple of
 * the connect timeout (10 s unless PGCONNECT_TIMEOUT says otherwise): who gives a connection less time wants to know
 * sooner. 0, "wait for ever", waits for ever: a stop ends it all the same. Pure; times in ms.
 */

/** Waits between tries; the last one is repeated. */
const WAITS_MS = [500, 1000, 2000, 4000, 8000, 15_000, 30_000] as const;

/** Losses in a row, with less than a minute's work between them, after which it is no accident. */
const LOSSES = 12;
const WORKED_MS = 60_000;

export type Next = { waitMs: number } | { enough: string };

export class Patience {
  /** When silence is told, and when the connections are taken for dead; null: never. */
  readonly silence: { tellMs: number; breakMs: number } | null;
  /** How long the server may be away before the run stops, resumable; null: for ever. */
  readonly awayMs: number | null;
  readonly #longestWaitMs: number;
  #losses = 0;
  #failures = 0;
  #awaySince = 0;
  #backSince: number | null = null;

  constructor(connectTimeoutMs: number) {
    const forEver = connectTimeoutMs <= 0;
    this.silence = forEver ? null : { tellMs: 2 * connectTimeoutMs, breakMs: 12 * connectTimeoutMs };
    this.awayMs = forEver ? null : 60 * connectTimeoutMs;
    this.#longestWaitMs = forEver ? 30_000 : Math.max(500, 3 * connectTimeoutMs);
  }

  /** The work lost its connection. Gives the wait before the next try, or why there is none. */
  lost(now: number): Next {
    if (this.#backSince !== null && now - this.#backSince >= WORKED_MS) this.#losses = 0;
    this.#losses += 1;
    this.#failures = 0;
    this.#awaySince = now;
    if (this.#losses > LOSSES) return { enough: `${this.#losses} connections were lost one after the other` };
    return this.#next();
  }

  /** The lease could not be had again. */
  failed(now: number): Next {
    this.#failures += 1;
    const away = now - this.#awaySince;
    if (this.awayMs !== null && away >= this.awayMs)
      return { enough: `the server has not let us work for ${Math.round(away / 1000)} s` };
    return this.#next();
  }

  /** The lease is held again. */
  back(now: number): void {
    this.#backSince = now;
  }

  #next(): Next {
    const wait = WAITS_MS[Math.min(this.#losses + this.#failures, WAITS_MS.length) - 1] ?? 30_000;
    return { waitMs: Math.min(wait, this.#longestWaitMs) };
  }
}

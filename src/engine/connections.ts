/**
 * The connections of one run: the lease's own, a helper, and those a phase opens. When one is lost the lease is taken
 * anew (which bumps the epoch, so that a transaction of unknown outcome has ended) and the phase runs again from what
 * the database says.
 */
import { PartwayError } from "../errors.js";
import { type Waiter, waiterBehind } from "../pg/aside.js";
import { type Lease, takeLease } from "../pg/lease.js";
import { Session } from "../pg/session.js";
import type { Target } from "../pg/target.js";
import { readStored, type StorePhase } from "../sync/store.js";

export class Connections {
  readonly #target: Target;
  readonly #migration: string;
  #lease: Lease | null = null;
  #holder: Session | null = null;
  #helper: Session | null = null;
  readonly #open = new Set<Session>();
  /** The highest epoch this process can have reached itself: each try to take the lease may have bumped it once. */
  #reached: bigint | null = null;

  constructor(target: Target, migration: string) {
    this.#target = target;
    this.#migration = migration;
  }

  /**
   * Takes the lease; again after a lost connection. Errors: `refused` when another process has it; `fenced` when
   * another has had it since; bad-input when the server cannot be reached.
   */
  async take(takeover: boolean): Promise<void> {
    await this.close();
    this.#holder = await Session.open(this.#target);
    this.#helper = await Session.open(this.#target);
    const atMost = this.#reached;
    if (this.#reached !== null) this.#reached += 1n;
    try {
      this.#lease = await takeLease({
        session: this.#holder,
        helper: this.#helper,
        migration: this.#migration,
        takeover,
        atMost,
      });
    } catch (error) {
      // Refused before it bumped anything: that epoch, when it comes, is another orchestrator's.
      if (error instanceof PartwayError && error.kind === "refused") this.#reached = atMost;
      throw error;
    }
    this.#reached = BigInt(this.#lease.epoch);
  }

  /** The next phase by the database, read under the lease; null when it has no row. */
  async storedPhase(): Promise<StorePhase | null> {
    if (this.#holder === null) throw this.#notHeld();
    return (await readStored(this.#holder, this.#migration))?.phase ?? null;
  }

  get lease(): Lease {
    if (this.#lease !== null) return this.#lease;
    throw this.#notHeld();
  }

  #notHeld(): PartwayError {
    return new PartwayError("unexpected", {
      what: "the lease is not held",
      state: "Nothing was written.",
      next: `partway resume ${this.#migration}`,
    });
  }

  /** A session that `closePhase` closes. */
  async open(): Promise<Session> {
    const session = await Session.open(this.#target);
    this.#open.add(session);
    return session;
  }

  /** Who waits behind the phase's sessions for longer than `afterMs`. The helper looks; it is opened again when lost. */
  async waiter(afterMs: number): Promise<Waiter | null> {
    if (this.#open.size === 0) return null;
    if (this.#helper?.lost !== false) this.#helper = await Session.open(this.#target);
    const pids = [...this.#open].map((session) => session.pid);
    return waiterBehind(this.#helper, pids, afterMs);
  }

  /** Ends whatever the phase's sessions are doing: Partway's own backends only. */
  async cancelPhase(): Promise<void> {
    for (const session of this.#open) {
      if (this.#helper?.lost !== false) return;
      // Its pid may be somebody else's by now.
      if (session.lost) continue;
      await this.#helper.query("SELECT pg_cancel_backend($1::int)", [session.pid]);
    }
  }

  /** Closes every session a phase opened. */
  async closePhase(): Promise<void> {
    const sessions = [...this.#open];
    this.#open.clear();
    await Promise.all(sessions.map((session) => session.end()));
  }

  async close(): Promise<void> {
    await this.closePhase();
    await this.#holder?.end();
    await this.#helper?.end();
    this.#holder = null;
    this.#helper = null;
    this.#lease = null;
  }
}

/**
 * The connections of one run: the lease's own, a helper, and those a phase opens. When one is lost the lease is taken
 * anew (which bumps the epoch, so that a transaction of unknown outcome has ended) and the phase runs again from what
 * the database says.
 */
import type { Working } from "../../state/machine.js";
import { PartwayError } from "../errors.js";
import { type Waiter, waiterBehind } from "../pg/aside.js";
import { CannotConnect } from "../pg/connect-failure.js";
import { LEASE_SQL, type Lease, takeLease } from "../pg/lease.js";
import { APPLICATION_NAME, ConnectionLost, Session } from "../pg/session.js";
import type { Target } from "../pg/target.js";
import type { Plan } from "../plan/types.js";
import { readStored, type StorePhase } from "../sync/store.js";
import { endedHere } from "./ended.js";
import { Patience } from "./patience.js";
import { Pulse } from "./pulse.js";

export class Connections {
  readonly #target: Target;
  readonly #migration: string;
  readonly #patience: Patience;
  readonly #tell: (message: string) => void;
  #lease: Lease | null = null;
  #holder: Session | null = null;
  #helper: Session | null = null;
  #pulse: Pulse | null = null;
  /** The backend that held the advisory lock for us: behind a network that died it may hold it still. */
  #lastHolder: number | null = null;
  #reopening: Promise<Session> | null = null;
  readonly #open = new Set<Session>();
  /** Breaks off the connections that are being made. */
  #opening = new AbortController();
  /** The highest epoch this process can have reached itself: each try to take the lease may have bumped it once. */
  #reached: bigint | null = null;

  /** `tell` is told when the server falls silent. */
  constructor(
    target: Target,
    migration: string,
    patience = new Patience(target.connectTimeoutMs),
    tell: (message: string) => void = () => undefined,
  ) {
    this.#target = target;
    this.#migration = migration;
    this.#patience = patience;
    this.#tell = tell;
  }

  /**
   * Takes the lease; again after a lost connection. Errors: `refused` when another process has it; `fenced` when
   * another has had it since; `CannotConnect` when the server cannot be reached.
   */
  async take(takeover: boolean): Promise<void> {
    await this.close();
    this.#opening = new AbortController();
    this.#holder = await Session.open(this.#target, this.#opening.signal);
    this.#helper = await Session.open(this.#target, this.#opening.signal);
    this.#watch();
    await this.#replace(this.#holder, this.#helper);
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
    // They are fenced, but what they have locked they would keep: the cutover, or the application, would wait for them.
    await this.#helper.query(LEASE_SQL.terminateWorkers, [this.#migration, APPLICATION_NAME]);
  }

  /** The next phase by the database, read under the lease; null when it has no row. */
  async storedPhase(): Promise<StorePhase | null> {
    if (this.#holder === null) throw this.#notHeld();
    return (await readStored(this.#holder, this.#migration))?.phase ?? null;
  }

  /** As the server names it: `18.1 (Debian 18.1-1)`. */
  async serverVersion(): Promise<string> {
    const { rows } = await this.#must(this.#holder).query("SHOW server_version");
    return rows[0]?.["server_version"] ?? "";
  }

  /**
   * Whether the migration's last COMMIT, which ends `state`, was made: no row is left whose lease could be taken, and
   * the catalog is as that end leaves it.
   */
  async ended(plan: Plan, state: Working): Promise<boolean> {
    const session = this.#must(this.#holder);
    if ((await readStored(session, this.#migration)) !== null) return false;
    return endedHere(session, plan, state);
  }

  #watch(): void {
    const { silence } = this.#patience;
    if (silence === null) return;
    this.#pulse = new Pulse({
      helper: () => this.#must(this.#helper),
      sessions: () => [this.#must(this.#holder), ...this.#open],
      mend: () => this.#mend(),
      ...silence,
      tell: this.#tell,
    });
  }

  /**
   * The phases work without helper and holder: somebody who ends one of those backends need not interrupt them. The
   * advisory lock only makes a refusal friendly, so one that cannot be had back is no matter: the epoch decides.
   */
  async #mend(): Promise<void> {
    const pulse = this.#pulse;
    await this.#liveHelper();
    if (this.#holder?.lost !== true) return;
    const holder = await Session.open(this.#target, this.#opening.signal);
    if (this.#pulse !== pulse) return holder.end();
    this.#holder = holder;
    await this.#replace(holder, holder);
    await holder.query(LEASE_SQL.lock, [this.#migration]);
  }

  /** The helper, opened again when it was lost. */
  async #liveHelper(): Promise<Session> {
    const lost = this.#must(this.#helper);
    if (!lost.lost) return lost;
    this.#reopening ??= Session.open(this.#target, this.#opening.signal).finally(() => {
      this.#reopening = null;
    });
    const anew = await this.#reopening;
    if (this.#helper === lost) this.#helper = anew;
    // Closed meanwhile: nobody else would give it back.
    if (this.#helper !== anew) await anew.end();
    return anew;
  }

  /** Ends the backend that held the advisory lock for us before `holder`, if it still does. */
  async #replace(holder: Session, helper: Session): Promise<void> {
    if (this.#lastHolder !== null)
      await helper.query(LEASE_SQL.terminateHolder, [this.#migration, this.#lastHolder]);
    this.#lastHolder = holder.pid;
  }

  #must(session: Session | null): Session {
    if (session !== null) return session;
    throw new ConnectionLost(new Error("closed"));
  }

  /** The helper, for a question that may go unanswered; null while there is none. */
  get observer(): Session | null {
    return this.#helper?.lost === false ? this.#helper : null;
  }

  /** Whether this process has begun the COMMIT that ends the migration. */
  get ending(): boolean {
    return this.#lease?.ending === true;
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

  /** A session that `closePhase` closes. A server that may let us in later counts as a lost connection. */
  async open(): Promise<Session> {
    const session = await Session.open(this.#target, this.#opening.signal).catch((error: unknown) => {
      if (error instanceof CannotConnect && error.passes) throw new ConnectionLost(error);
      throw error;
    });
    this.#open.add(session);
    await session.query(LEASE_SQL.worker, [this.#migration]);
    return session;
  }

  /** A connection beside the run's own, which the caller gives back. */
  async beside(signal: AbortSignal): Promise<Session> {
    const session = await Session.open(this.#target, signal);
    try {
      // Whoever takes over ends it with the others.
      await session.query(LEASE_SQL.worker, [this.#migration]);
    } catch (error) {
      session.break("it could not be marked as this migration's");
      throw error;
    }
    return session;
  }

  /** Who waits behind the phase's sessions for longer than `afterMs`. The helper looks; it is opened again when lost. */
  async waiter(afterMs: number): Promise<Waiter | null> {
    if (this.#open.size === 0) return null;
    const pids = [...this.#open].map((session) => session.pid);
    return waiterBehind(await this.#liveHelper(), pids, afterMs);
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

  /** Takes every connection for dead: whoever waits for an answer gets an error instead. Safe at any moment. */
  breakAll(why: string): void {
    this.#opening.abort(new Error(why));
    for (const session of [this.#holder, this.#helper, ...this.#open]) session?.break(why);
  }

  /** Closes every session a phase opened. */
  async closePhase(): Promise<void> {
    const sessions = [...this.#open];
    this.#open.clear();
    await Promise.all(sessions.map((session) => session.end()));
  }

  async close(): Promise<void> {
    this.#pulse?.stop();
    this.#pulse = null;
    await this.closePhase();
    await Promise.all([this.#holder?.end(), this.#helper?.end()]);
    this.#holder = null;
    this.#helper = null;
    this.#lease = null;
  }
}

/** ANALYZE and VACUUM of tables in care. Part of the programmatic interface. */
import { oneAtATime } from "./care/alone.js";
import { readPolicies } from "./care/store.js";
import { keepUp, leftLocked, type Upkeep, type UpkeepReport } from "./care/upkeep.js";
import type { CareWork } from "./care/work.js";
import { type CareOptions, connected, wanted } from "./care.js";
import { parseSettings, type RawSettings } from "./config/request.js";
import { asPartwayError, type PartwayError } from "./errors.js";
import { deadlockTimeoutMs } from "./pg/locks.js";
import { ConnectionLost } from "./pg/session.js";

export interface UpkeepOptions
  extends Omit<CareOptions, "config" | "now">,
    Pick<RawSettings, "lockTimeout" | "lockTimeoutMax"> {
  signal?: AbortSignal | undefined;
}

export interface UpkeepOutcome extends UpkeepReport {
  /** What kept it from being done whole. */
  error: PartwayError | null;
}

/** ANALYZE of every leaf and of the tables themselves. Errors: as `vacuum`. */
export function analyze(options: UpkeepOptions): Promise<UpkeepOutcome[]> {
  return upkeep(options, "analyze");
}

/**
 * VACUUM of every leaf, with `full` VACUUM FULL, which locks a leaf against everybody while it is rewritten. A leaf that
 * is locked longer than the lock timeout is left. Errors: `refused` (MaintenanceBusy) while other maintenance runs.
 */
export function vacuum(options: UpkeepOptions & { full?: boolean | undefined }): Promise<UpkeepOutcome[]> {
  return upkeep(options, options.full === true ? "vacuum-full" : "vacuum");
}

async function upkeep(options: UpkeepOptions, what: Upkeep): Promise<UpkeepOutcome[]> {
  const settings = parseSettings(options);
  const { signal = new AbortController().signal } = options;
  return connected(
    options,
    async (session, observer) => {
      await oneAtATime(observer);
      const deadlockMs = await deadlockTimeoutMs(session);
      const work: CareWork = { session, observer, settings, signal, deadlockMs, onTry: () => undefined };
      const outcomes: UpkeepOutcome[] = [];
      for (const { oid, shown } of await wanted(session, await readPolicies(session), options.tables)) {
        if (observer.lost)
          throw new ConnectionLost(new Error("the one that holds maintenance's lock is gone"));
        const outcome = await keepUp(work, oid, what).then(
          (report) => ({ ...report, error: leftLocked(report) }),
          (error: unknown) => {
            if (session.lost || signal.aborted) throw error;
            const state = "The other leaves were done.";
            const known = asPartwayError(error, state, "The same command again.");
            return { table: shown, done: [], locked: [], error: known };
          },
        );
        outcomes.push(outcome);
      }
      return outcomes;
    },
    undefined,
    signal,
  );
}

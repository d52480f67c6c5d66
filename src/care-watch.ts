/** `partway health --watch`: looks again and again, until it is told to stop. Part of the programmatic interface. */
import { setTimeout as sleep } from "node:timers/promises";
import type { HealthView } from "../state/health-view.js";
import { targetOf, withSession } from "./api.js";
import { readHealth } from "./care/facts.js";
import { type HealthReport, healthOf } from "./care/health.js";
import { readPolicies } from "./care/store.js";
import { healthView } from "./care/view.js";
import { type CareOptions, explainCare, tablesOf } from "./care.js";
import { messageOf } from "./errors.js";
import type { Session } from "./pg/session.js";
import { describeTarget } from "./pg/target.js";

export interface WatchHealthOptions extends CareOptions {
  /** Ends it. */
  signal: AbortSignal;
  /** Between two looks, ms; default 5000. */
  everyMs?: number | undefined;
  /** Cuts the wait short once. */
  hurry?: (() => AbortSignal) | undefined;
  /** After each look; one that failed has `trouble`, and the tables as they were last. */
  onLook(view: HealthView, reports: readonly HealthReport[]): void;
}

/** Reads only. Errors: those of `health`, when already the first look fails; later ones are told and tried again. */
export async function watchHealth(options: WatchHealthOptions): Promise<void> {
  const { signal, everyMs = 5000, onLook, hurry } = options;
  const target = await targetOf(options);
  const server = describeTarget(target);
  const seen: { last: Look | null } = { last: null };
  const pause = async () => {
    const early = hurry?.();
    const cut = early === undefined ? signal : AbortSignal.any([signal, early]);
    await sleep(everyMs, undefined, { signal: cut }).catch(() => undefined);
  };
  while (!signal.aborted) {
    try {
      await withSession(target, async (session) => {
        while (!signal.aborted) {
          const looked = await look(session, options, server);
          seen.last = looked;
          if (!signal.aborted) onLook(looked.view, looked.reports);
          await pause();
        }
      });
    } catch (error) {
      if (seen.last === null) throw explainCare(error);
      const { view, reports } = seen.last;
      onLook(
        { ...view, trouble: `the last look failed, as of ${view.at ?? "never"}: ${messageOf(error)}` },
        reports,
      );
      await pause();
    }
  }
}

interface Look {
  view: HealthView;
  reports: HealthReport[];
}

async function look(session: Session, options: CareOptions, server: string): Promise<Look> {
  const stored = await readPolicies(session);
  const reports: HealthReport[] = [];
  const tables: HealthView["tables"] = [];
  for (const table of await tablesOf(session, stored, options.tables)) {
    const row = stored.find(({ oid }) => oid === table.oid) ?? null;
    const facts = await readHealth(session, table, row, options.now);
    const report = healthOf(facts);
    reports.push(report);
    tables.push(healthView(facts, report));
  }
  return { view: { at: new Date().toISOString(), server, tables, trouble: null }, reports };
}

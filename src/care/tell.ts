/**
 * Tells of a table's health when its status has changed. What was told last stands in partway.partition_health, so that
 * one cron run after the other tells a change once; it is written when the telling has succeeded, so that none is lost.
 */
import { z } from "zod";
import { jsonRows } from "../catalog/json.js";
import { runCommand } from "../hooks/command.js";
import { redact } from "../log.js";
import type { Session } from "../pg/session.js";
import type { HealthReport, HealthStatus } from "./health.js";
import { CARE_SQL, makeHealthStore } from "./store.js";
import type { Webhook } from "./webhook.js";

export interface HealthChange {
  table: string;
  /** Null: the table is looked at for the first time. */
  before: HealthStatus | null;
  status: HealthStatus;
  /** Who was told, and how that ended; empty for a first look at a healthy table. */
  told: { to: string; ok: boolean; how: string }[];
}

export interface Tell {
  command: string | null;
  webhook: Webhook | null;
  timeoutMs: number;
  /** `user@host:port/database`. */
  server: string;
}

const Known = z.object({ oid: z.string(), status: z.string() });

/** `reports` with the tables' OIDs. Empty, too, while another process is telling: what it leaves the next run tells. */
export async function tellChanges(
  session: Session,
  reports: readonly { oid: string; report: HealthReport }[],
  tell: Tell,
): Promise<HealthChange[]> {
  await makeHealthStore(session);
  const { held } = await session.one(z.object({ held: z.string() }), CARE_SQL.lockHealth);
  if (held !== "true") return [];
  await session.query(CARE_SQL.forgetHealth);
  const known = new Map(
    (await jsonRows(session, Known, CARE_SQL.knownHealth, [])).map(({ oid, status }) => [oid, status]),
  );
  const changes: HealthChange[] = [];
  for (const { oid, report } of reports) {
    const before = statusOf(known.get(oid));
    if (before === report.status) continue;
    const isNews = before !== null || report.status !== "HEALTHY";
    const told = isNews ? await say(report, before, tell) : [];
    if (told.every(({ ok }) => ok)) await session.query(CARE_SQL.keepHealth, [oid, report.status]);
    changes.push({ table: report.table, before, status: report.status, told });
  }
  return changes;
}

const STATUSES: readonly HealthStatus[] = [
  "HEALTHY",
  "CLEANUP_NEEDED",
  "NO_PARTITIONS",
  "WARNING",
  "CRITICAL",
];

function statusOf(text: string | undefined): HealthStatus | null {
  return STATUSES.find((one) => one === text) ?? null;
}

/** More findings are told as a number: one string of an environment has 128 KiB at most. */
const MOST_TOLD = 100;

async function say(
  report: HealthReport,
  before: HealthStatus | null,
  tell: Tell,
): Promise<HealthChange["told"]> {
  const { table, status, findings } = report;
  const at = new Date().toISOString();
  const few = findings.slice(0, MOST_TOLD);
  const why = few.map(({ what }) => what).join("; ");
  const body = {
    ...{ event: "health-changed", at, server: tell.server, table, before, status },
    ...{ health: { ...report, findings: few }, more: findings.length - few.length },
  };
  const told: HealthChange["told"] = [];
  if (tell.command !== null) {
    const env = {
      ...{ PARTWAY_EVENT: body.event, PARTWAY_AT: at, PARTWAY_SERVER: tell.server, PARTWAY_TABLE: table },
      ...{ PARTWAY_STATUS: status, PARTWAY_STATUS_BEFORE: before ?? "" },
      PARTWAY_MESSAGE: `${table}: ${before ?? "new"} -> ${status}${why === "" ? "" : `: ${why}`}`,
      PARTWAY_JSON: JSON.stringify(body),
    };
    const { ok, how, output } = await runCommand(tell.command, env, tell.timeoutMs);
    const last = output.split("\n").slice(-5).join("\n");
    told.push({ to: redact(tell.command), ok, how: redact(ok || last === "" ? how : `${how}: ${last}`) });
  }
  if (tell.webhook !== null)
    told.push({ to: tell.webhook.shown, ...(await tell.webhook.post(body, tell.timeoutMs)) });
  return told;
}

/** Before anything is written: can what the throttle is to look at be read at all? Reads only. */
import { previewSql } from "../checks/preview.js";
import { messageOf } from "../errors.js";
import { ident } from "../pg/quote.js";
import { ConnectionLost, type Session } from "../pg/session.js";
import type { Plan, Refusal, Warning } from "../plan/types.js";
import { walNames } from "../wal/slot.js";
import { ask, clockIn, partsFor } from "./ask.js";
import { CANARY_TIMEOUT_MS, Canary } from "./canary.js";
import { MEASURED, type Measured } from "./judge.js";
import { WalMarks } from "./marks.js";
import { active, NO_RIGHT, number, replicaLag, slotWal, xminAge } from "./read.js";
import type { Reading, ThrottleSettings } from "./types.js";

/** What was asked for and cannot be read would hold the run before its first batch: refused now, with what mends it. */
export async function previewThrottle(
  session: Session,
  plan: Plan,
  settings: ThrottleSettings,
): Promise<{ refusals: Refusal[]; warnings: Warning[] }> {
  const refusals: Refusal[] = [];
  const warnings: Warning[] = [];
  const refuse = (option: string, why: string, remedy = `Mend it, or leave ${option} out.`) =>
    refusals.push({
      code: "throttle-cannot-read",
      what: `${option} is asked for, and cannot be read: ${why}`,
      why: "A signal that cannot be read counts as bad: the run would be held before its first batch.",
      remedy,
    });
  const role = await roleOf(session);
  const grant = `GRANT pg_monitor TO ${ident(role)};`;
  for (const [signal, reading] of await readings(session, plan, settings)) {
    const limit = MEASURED[signal].limit(settings);
    if (
      signal === "replica-lag" &&
      limit !== null &&
      !("unreadable" in reading) &&
      (reading.value ?? 0) >= limit
    )
      warnings.push({
        code: "replica-lag-holds",
        what: `${reading.who ?? "A replica"} is ${Math.round((reading.value ?? 0) / 1000)} s behind now: the run will wait before its first piece.`,
        advice:
          "A standby that is delayed on purpose, or a consumer that confirms late, never catches up: --max-replica-lag off, and --throttle-sql for those that count.",
      });
    if (!("unreadable" in reading) || limit === null) continue;
    const lacks = reading.unreadable === NO_RIGHT;
    if (signal === "replica-lag" && !settings.isReplicaLagAsked)
      warnings.push({
        code: "replica-lag-not-watched",
        what: `There are replicas, and their lag cannot be read (${reading.unreadable}): the run will not wait for them.`,
        advice: `${lacks ? grant : "Mend that"}; or --max-replica-lag off says that it is meant.`,
      });
    else
      refuse(
        OPTION[signal],
        reading.unreadable,
        lacks ? `${grant}  -- or: ${OPTION[signal]} off` : undefined,
      );
  }
  if (settings.between !== null) {
    const why = await problemOf(clockIn(session, settings.between.zone));
    if (why !== null)
      refuse("--between", why, "SELECT name FROM pg_timezone_names;  -- has the zones there are");
  }
  if (settings.sql !== null) {
    const why = await previewSql(session, settings.sql);
    if (why !== null) refuse("--throttle-sql", why);
  }
  const canary = settings.canarySql === null ? null : await previewSql(session, settings.canarySql, true);
  if (canary !== null) refuse("--canary-sql", canary);
  else if (settings.canarySql === null && settings.maxCanaryMs !== null) {
    const timed = await new Canary(plan, null).run(session);
    if ("error" in timed) refuse("--max-canary", timed.error);
    else if (timed.ms >= CANARY_TIMEOUT_MS) refuse("--max-canary", "the table does not answer");
  }
  return { refusals, warnings };
}

const OPTION: Record<Measured, string> = {
  "replica-lag": "--max-replica-lag",
  "batch-time": "--max-batch-time",
  active: "--max-active",
  "xmin-age": "--max-xmin-age",
  "wal-rate": "--max-wal-rate",
  "checkpoint-wal": "--max-checkpoint-wal",
  "slot-wal": "--max-slot-wal",
  canary: "--max-canary",
};

async function readings(
  session: Session,
  plan: Plan,
  settings: ThrottleSettings,
): Promise<[Measured, Reading][]> {
  const answers = await ask(session, partsFor(settings), walNames(plan).slot);
  const { wal } = answers;
  return [
    ["replica-lag", replicaLag(answers.replicas, new WalMarks())],
    ["active", active(answers.active)],
    ["xmin-age", xminAge(answers.xmin)],
    ["wal-rate", wal !== undefined && "error" in wal ? { unreadable: wal.error } : { value: null }],
    ["checkpoint-wal", number(answers.checkpoint)],
    ["slot-wal", slotWal(answers.slot)],
  ];
}

async function roleOf(session: Session): Promise<string> {
  const { rows } = await session.query("SELECT current_user::text AS role");
  return rows[0]?.["role"] ?? "";
}

async function problemOf(work: Promise<unknown>): Promise<string | null> {
  try {
    await work;
    return null;
  } catch (error) {
    if (error instanceof ConnectionLost) throw error;
    return messageOf(error);
  }
}

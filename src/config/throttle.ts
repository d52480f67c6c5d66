/** The automatic throttle as typed, to its settings and back (a resume reads them from the journal). */
import { badInput } from "../errors.js";
import { hoursText, parseHours } from "../throttle/hours.js";
import type { ThrottleSettings } from "../throttle/types.js";
import { parseBytes } from "./bytes.js";
import { parseMilliseconds } from "./duration.js";

/** Each takes `off` as well, which takes back what a configuration file says. */
export interface RawThrottle {
  maxReplicaLag?: string | undefined;
  maxBatchTime?: string | undefined;
  maxActive?: string | undefined;
  maxXminAge?: string | undefined;
  maxWalRate?: string | undefined;
  maxCheckpointWal?: string | undefined;
  maxSlotWal?: string | undefined;
  throttleSql?: string | undefined;
  canarySql?: string | undefined;
  maxCanary?: string | undefined;
  between?: string | undefined;
}

/** A replica that is this far behind answers its readers from the past, and would lose that much in a failover. */
const REPLICA_LAG = "10s";

/** Beyond max_slot_wal_keep_size the slot is lost and the copy begins again: half of it is left to the reader, percent. */
export const SLOT_WAL = 50;

const OFF = "off";

/** Errors: bad-input naming the option. */
export function parseThrottle(raw: RawThrottle): ThrottleSettings {
  const given = <T>(text: string | undefined, option: string, parse: (text: string, option: string) => T) =>
    text === undefined || text.trim().toLowerCase() === OFF ? null : parse(text, option);
  return {
    maxReplicaLagMs: given(raw.maxReplicaLag ?? REPLICA_LAG, "--max-replica-lag", parseMilliseconds),
    isReplicaLagAsked: raw.maxReplicaLag !== undefined,
    maxBatchMs: given(raw.maxBatchTime, "--max-batch-time", parseMilliseconds),
    maxActive: given(raw.maxActive, "--max-active", parseCount),
    maxXminAge: given(raw.maxXminAge, "--max-xmin-age", parseCount),
    maxWalRate: given(raw.maxWalRate, "--max-wal-rate", parseRate),
    maxCheckpointWal: given(raw.maxCheckpointWal, "--max-checkpoint-wal", parseCount),
    maxSlotWal: given(raw.maxSlotWal ?? String(SLOT_WAL), "--max-slot-wal", parseCount),
    sql: given(raw.throttleSql, "--throttle-sql", parseSql),
    canarySql: given(raw.canarySql, "--canary-sql", parseSql),
    maxCanaryMs: given(raw.maxCanary, "--max-canary", parseMilliseconds),
    between: given(raw.between, "--between", parseHours),
  };
}

/** What `parseThrottle` makes the same settings of. */
export function rawThrottle(settings: ThrottleSettings): RawThrottle {
  const { maxReplicaLagMs, isReplicaLagAsked } = settings;
  const number = (value: number | null, unit = ""): string | undefined =>
    value === null ? undefined : `${value}${unit}`;
  return {
    maxReplicaLag: isReplicaLagAsked ? (number(maxReplicaLagMs, "ms") ?? OFF) : undefined,
    maxBatchTime: number(settings.maxBatchMs, "ms"),
    maxActive: number(settings.maxActive),
    maxXminAge: number(settings.maxXminAge),
    maxWalRate: number(settings.maxWalRate),
    maxCheckpointWal: number(settings.maxCheckpointWal),
    maxSlotWal: number(settings.maxSlotWal) ?? OFF,
    throttleSql: settings.sql ?? undefined,
    canarySql: settings.canarySql ?? undefined,
    maxCanary: number(settings.maxCanaryMs, "ms"),
    between: settings.between === null ? undefined : hoursText(settings.between),
  };
}

function parseCount(text: string, option: string): number {
  const digits = text.trim().replaceAll("_", "");
  if (!/^[1-9]\d{0,9}$/.test(digits))
    throw badInput(
      `${option}: "${text}" is not a whole number above zero`,
      `For example ${option} 100, or ${option} off.`,
    );
  return Number(digits);
}

function parseRate(text: string, option: string): number {
  return parseBytes(text, option, "bytes a second", "50MB");
}

function parseSql(text: string, option: string): string {
  if (text.trim() === "")
    throw badInput(`${option}: no statement is given`, `For example ${option} 'SELECT busy FROM ops.load'.`);
  return text.trim();
}

/** What is to become of a table's leaves: how many ahead, how long they are kept, when to raise an alarm. Pure. */
import { checkArchive } from "../archive/settings.js";
import type { ArchiveSettings, PartitionPolicy } from "../config/schema.js";
import { checkTemplate, defaultTemplate } from "../config/template.js";
import { badInput } from "../errors.js";
import { intervalOf, startOf } from "../plan/calendar.js";
import type { Interval, Scheme } from "../plan/types.js";
import { type Axis, type Grid, indexOf, monthsBefore } from "./grid.js";

/** As it stands in partway.partition_config, read whole. */
export interface Policy {
  /** Null for hash, list and keys that Partway cannot go on cutting: no leaf is made, none expires. */
  grid: Grid | null;
  leaf: string;
  ahead: number;
  /** Null: kept for ever. */
  retention: Retention | null;
  /** As written; what `retention` was read from. */
  retentionText: string | null;
  expired: "drop" | "detach" | "archive";
  /** Where to; null only where nothing is archived. */
  archive: ArchiveSettings | null;
  thresholds: Thresholds;
  enabled: boolean;
}

export type Retention = { unit: "hours" | "months" | "values"; amount: bigint };

export interface Thresholds {
  minLeaves: number;
  maxLeaves: number;
  leafBytes: number;
}

/** FEATURES F1: 3 months, 12 weeks, 90 days; the others about as long. */
export const AHEAD: Record<Interval | "step", number> = {
  ...{ hour: 72, day: 90, week: 12, month: 3, quarter: 2, year: 1 },
  step: 4,
};

/** 180 daily leaves are half a year (FEATURES N30): what is too many depends on the interval. */
export const MAX_LEAVES: Record<Interval | "step" | "none", number> = {
  ...{ hour: 2500, day: 1200, week: 300, month: 150, quarter: 100, year: 60 },
  ...{ step: 1000, none: 1000 },
};

const GB = 1e9;

/** The policy of one table. `known` is the grid its leaves stand on. Errors: bad-input naming the table and the key. */
export function policyOf(
  table: string,
  given: PartitionPolicy,
  axis: Axis | null,
  known: Grid | null,
): Policy {
  const grid = chosenGrid(table, given, axis, known);
  const kind = grid === null ? "none" : grid.kind === "time" ? grid.every : "step";
  const leaf = given.leaf ?? (grid === null ? "{table}_{n}" : defaultTemplate(schemeOf(grid)));
  if (grid !== null) checkTemplate(leaf, schemeOf(grid));
  const { thresholds = {} } = given;
  const retention = given.retention === undefined ? null : parseRetention(table, given.retention);
  if (retention !== null && axis !== null && (retention.unit === "values") !== (axis.kind === "number"))
    throw badInput(
      `${table}: retention "${given.retention}" does not suit a table cut by ${axis.kind}`,
      axis.kind === "time" ? "Write 90d, 12mo or 2y." : "Write a number of values, for example 10000000.",
    );
  return {
    grid,
    leaf,
    ahead: given.ahead ?? (kind === "none" ? 0 : AHEAD[kind]),
    retention,
    retentionText: given.retention ?? null,
    // What is not said is not destroyed.
    expired: given.expired ?? "detach",
    archive: archiveOf(table, given),
    thresholds: {
      minLeaves: thresholds.minLeaves ?? 2,
      maxLeaves: thresholds.maxLeaves ?? MAX_LEAVES[kind],
      leafBytes: (thresholds.leafGb ?? 10) * GB,
    },
    enabled: given.enabled ?? true,
  };
}

/** Most leaves that are made in one go: what the limits of README say of a table. */
const MOST_AHEAD = 5000n;

/**
 * The policy with leaves until the end of the month that lies `months` ahead of `now`, however it is cut. Errors:
 * bad-input where that cannot be said.
 */
export function withMonths(
  table: string,
  policy: Policy,
  now: bigint | null,
  months: number | undefined,
): Policy {
  const { grid } = policy;
  if (months === undefined) return policy;
  if (grid?.kind !== "time" || now === null)
    throw badInput(
      `${table} is not cut by time: months say nothing about its leaves`,
      "Leave monthsAhead out: the policy's `ahead` holds.",
    );
  const end = startOf(intervalOf(Number(now), "month") + months + 1, "month");
  const ahead = indexOf(grid, BigInt(end) - 1n) - indexOf(grid, now);
  if (ahead > MOST_AHEAD)
    throw badInput(`${table}: ${months} months ahead are ${ahead} leaves`, "Ask for fewer months.");
  return { ...policy, ahead: Number(ahead) };
}

function archiveOf(table: string, { expired, archive }: PartitionPolicy): ArchiveSettings | null {
  if (archive !== undefined) return checkArchive(archive, table);
  if (expired !== "archive") return null;
  throw badInput(
    `${table}: expired leaves are to be archived, and it is not said where to`,
    "Say so: --to /var/archive or --to s3://bucket/prefix.",
  );
}

function chosenGrid(
  table: string,
  given: PartitionPolicy,
  axis: Axis | null,
  known: Grid | null,
): Grid | null {
  if (given.every !== undefined && given.step !== undefined)
    throw badInput(`${table}: every and step exclude each other`, "Keep the one that the table is cut by.");
  const { every, step } = given;
  if (every === undefined && step === undefined) return known;
  if (axis === null)
    throw badInput(
      `${table} is not cut by a range of one time or whole-number column: it has no interval`,
      "Leave out every and step.",
    );
  if (every !== undefined) {
    if (every === "hour" && axis.kind === "time" && axis.type === "date")
      throw badInput(`${table} is cut by a date, which has no hours`, "Give day or a longer interval.");
    if (axis.kind === "time") return { kind: "time", every, type: axis.type };
    throw badInput(`${table} is cut by numbers, not by ${every}`, "Give step instead of every.");
  }
  if (axis.kind === "number" && /^[1-9]\d{0,17}$/.test(step ?? ""))
    return { kind: "number", step: BigInt(step ?? "") };
  throw badInput(
    `${table}: step ${step} is not what this table can be cut by`,
    axis.kind === "number" ? "Write a whole number above zero." : "Give every instead of step.",
  );
}

function schemeOf(grid: Grid): Scheme {
  return grid.kind === "time"
    ? { kind: "range-time", column: "", every: grid.every }
    : { kind: "range-int", column: "", step: String(grid.step) };
}

export const UNITS: Record<string, { unit: "hours" | "months"; each: bigint }> = {
  ...{ h: { unit: "hours", each: 1n }, hour: { unit: "hours", each: 1n } },
  ...{ d: { unit: "hours", each: 24n }, day: { unit: "hours", each: 24n } },
  ...{ w: { unit: "hours", each: 168n }, week: { unit: "hours", each: 168n } },
  ...{ mo: { unit: "months", each: 1n }, month: { unit: "months", each: 1n } },
  ...{ q: { unit: "months", each: 3n }, quarter: { unit: "months", each: 3n } },
  ...{ y: { unit: "months", each: 12n }, year: { unit: "months", each: 12n } },
};

/** `90d`, `12 months`, `2y`, or a whole number of values. `m` is refused: minutes elsewhere, and months here by guess. */
export function parseRetention(table: string, text: string): Retention {
  const match = /^(\d{1,18})\s*([a-z]*)$/.exec(text.trim().toLowerCase());
  const amount = BigInt(match?.[1] ?? 0);
  if (match !== null && amount > 0n) {
    const word = match[2] ?? "";
    if (word === "") return { unit: "values", amount };
    const found = UNITS[word] ?? UNITS[word.replace(/s$/, "")];
    const most = found?.unit === "hours" ? 8_766_000n : 12_000n;
    if (found !== undefined && amount * found.each <= most)
      return { unit: found.unit, amount: amount * found.each };
  }
  throw badInput(
    `${table}: retention "${text}" is not a length of time`,
    "Write a number above zero and a unit: h, d, w, mo, q, y (90d, 12mo, 2y), or a number of values for step.",
  );
}

/** A leaf whose upper bound is not above this is expired. Months are calendar months: 3 months are not 90 days. */
export function cutoffOf(retention: Retention, now: bigint): bigint {
  if (retention.unit === "months") return BigInt(monthsBefore(Number(now), Number(retention.amount)));
  return now - retention.amount;
}

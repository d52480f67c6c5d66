/** What is said of one table, and the order in which tables are told. Pure. */
import type { Consequence, Refusal } from "../plan/types.js";
import type { Rule, Urgency } from "./urgency.js";

export interface Advice {
  /** `schema.name`. */
  table: string;
  urgency: Urgency | "partitioned";
  rule: Rule | "partitioned" | "migrating";
  /** One sentence or two. */
  why: string;
  rows: number | null;
  bytes: number;
  indexBytes: number;
  rowsPerMonth: number | null;
  /** Where the rate comes from. */
  growthBasis: string | null;
  /** Share of dead rows, 0 to 1. */
  dead: number;
  keptDays: number | null;
  cut: {
    column: string;
    /** `RANGE (created_at), one leaf a month, bounds in UTC`. */
    scheme: string;
    because: string;
    /** With those made ahead; 0 where the plan refuses to lay them out. */
    leaves: number;
    leafBytes: number | null;
  } | null;
  /** The command to type next; null where there is none. */
  next: string | null;
  /** What `partway plan` would refuse. */
  refusals: Refusal[];
  consequences: Consequence[];
  /** What could not be measured, or looks odd. */
  notes: string[];
}

const ORDER = ["critical", "high", "medium", "partitioned", "leave alone"] as const;

/** Most urgent first, then the larger one. */
export function byUrgency(all: readonly Advice[]): Advice[] {
  return all.toSorted(
    (a, b) =>
      ORDER.indexOf(a.urgency) - ORDER.indexOf(b.urgency) ||
      b.bytes - a.bytes ||
      (a.table < b.table ? -1 : 1),
  );
}

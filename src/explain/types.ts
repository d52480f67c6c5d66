/** What `partway explain` tells: plain data for people and for `--json`. */
import type { Shape } from "../rehearse/shape.js";

export interface ExplainedTable {
  /** `schema.name`. */
  table: string;
  strategy: "range" | "list" | "hash";
  /** As PostgreSQL prints it: `RANGE (created_at)`. */
  key: string;
  /** The column that leaves nothing out when no condition names it; null for an expression. */
  column: string | null;
  /** Leaves in all, those below leaves included. */
  total: number;
  /** What the planner leaves in the plan. */
  planned: number;
  /** Of them what is left when the execution begins (`Subplans Removed` gone); null: no value is known. */
  opened: number | null;
  /** Of them what is really scanned (without "never executed"); null without `--analyze`. */
  read: number | null;
  /** The plan that a statement prepared long ago has, opened with the values given; null: none was given. */
  prepared: number | null;
  /** Names of the leaves in the plan; of those scanned, where that is known. */
  leaves: string[];
  /** How the conditions speak of `column`. */
  condition: Shape["partition"];
  /** What to write instead; null: leaves are left out, or there is nothing to leave out. */
  advice: string | null;
}

export interface ExplainedStatement {
  sql: string;
  /** The types of $1, $2, ... */
  parameters: string[];
  /** No value was given for them: what is shown is the plan for any values. */
  generic: boolean;
  /** The planner's total. */
  cost: number;
  /** Only with --analyze. */
  measured: { ms: number; blocks: { hit: number; read: number } | null } | null;
  /** Partitioned tables only. */
  tables: ExplainedTable[];
}

export interface FailedStatement {
  sql: string;
  /** Why it cannot be planned, in the server's or the parser's words. */
  error: string;
}

export interface ExplainReport {
  statements: (ExplainedStatement | FailedStatement)[];
  /** `table: n of m leaves`, one for each table above `--fail-above`; empty without it. */
  above: string[];
}

/** The leaves that count: what is known nearest to the execution. */
export function touched({ read, opened, planned }: ExplainedTable): number {
  return read ?? opened ?? planned;
}

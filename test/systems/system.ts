/**
 * One of the five systems that Partway was made for, as a fixture: its schema, rows of a fixed clock and seed, and for
 * each table the migration it asks for, what its application writes meanwhile, and its own queries.
 */
import type { RawOptions } from "../../src/config/request.js";

/** PARTWAY_TEST_FULL=1: more rows, and all the leaves of a day each. */
export const FULL = process.env["PARTWAY_TEST_FULL"] === "1";

/** Rows of a table. */
export const ROWS = FULL ? 8_000 : 2_000;

export interface SystemTable {
  /** Quoted, qualified. */
  table: string;
  /** What the operator types for it. */
  options: RawOptions;
  /** How many leaves there are at the system's clock. */
  leaves: number;
  /**
   * Names of leaves as the system's document has them, and their bounds: `from to`, without midnight. The first and the
   * last leaf stand first and last.
   */
  golden: Record<string, string>;
  /** The rows that the application changes and deletes; those it makes are among them. No query below reads them. */
  mine: string;
  /** What follows INSERT INTO table AS t. */
  insert: string;
  /** SET clauses. */
  updates: readonly string[];
  /** Tables that a foreign key ties to this one: their application runs during the migration too. */
  besides?: readonly string[];
  /** The document's own queries with its clock put in; each finds rows. One that changes rows is rolled back. */
  queries: readonly string[];
  /** Statements that a foreign key refuses. */
  refusedByKey?: readonly string[];
  /** Queries of an index that is not a plain list of columns, and a part of its name. */
  indexed?: Record<string, string>;
  /** Rolled back once before it is migrated for good. */
  back?: true;
}

export interface System {
  /** `now` is the database clock that every plan of it believes in, ISO 8601. */
  now: string;
  /** search_path of the application. */
  path: string;
  /** Everything but rows; `{app}` is the application's role. */
  schema: readonly string[];
  /** INSERTs; random() is seeded. */
  rows: readonly string[];
  /** In the order in which the system's document migrates them. */
  tables: readonly SystemTable[];
}

/**
 * Evenly from `from` to `to` over the rows of `generate_series(1, ROWS) AS g`: no two rows have one instant, so that
 * an ORDER BY has one answer.
 */
export function spread(from: string, to: string, type: "timestamp" | "timestamptz" = "timestamp"): string {
  const zone = type === "timestamptz" ? "+00" : "";
  return `(${type} '${from}${zone}' + (${type} '${to}${zone}' - ${type} '${from}${zone}') * (g::float8 / ${ROWS}))`;
}

/** Anywhere from `from` to `to`. */
export function within(from: string, to: string, type: "timestamp" | "timestamptz" = "timestamp"): string {
  return spread(from, to, type).replace(`g::float8 / ${ROWS}`, "random()");
}

/** One of `values`, by the row's number divided by `by`. */
export function pick(values: readonly string[], by = 1): string {
  return `(ARRAY[${values.map((value) => `'${value}'`).join(", ")}])[1 + (g / ${by}) % ${values.length}]`;
}

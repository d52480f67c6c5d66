/** What one function of `partway install-sql` is, and its statements. */
import { literal } from "../pg/quote.js";

export interface SqlFunction {
  name: string;
  /** As pg_get_function_arguments prints them: an upgrade tells by the text what has to be dropped first. */
  args: string;
  /** As pg_get_function_result prints it. */
  returns: string;
  volatility: "IMMUTABLE" | "STABLE" | "VOLATILE";
  language: "plpgsql" | "sql";
  about: string;
  body: string;
}

/** Every comment begins with it: by that a function is known to be ours. */
export const MARK = "Partway ";

/** Names found nowhere but in pg_catalog; text and arithmetic of times in UTC, whatever the session says. */
const PINNED = [
  "search_path = pg_catalog, pg_temp",
  "TimeZone = 'UTC'",
  "DateStyle = 'ISO, YMD'",
  "IntervalStyle = 'postgres'",
  "row_security = off",
];

/** What a lock may be waited for; inner functions take it over from the one that was called. */
const WAITS = "lock_timeout = '200ms'";

/** Inner functions, which nobody calls. */
export function isInner({ name }: Pick<SqlFunction, "name">): boolean {
  return name.startsWith("_");
}

/** `partway.f(text, integer)`, as DROP, GRANT and COMMENT want it. */
export function signature({ name, args }: SqlFunction): string {
  const types = args === "" ? [] : args.split(", ").map((arg) => arg.replace(/ DEFAULT .*/, ""));
  return `partway.${name}(${types.map((arg) => arg.slice(arg.indexOf(" ") + 1)).join(", ")})`;
}

/** CREATE OR REPLACE: what depends on it, and the rights that were given, stay. */
export function createSql(one: SqlFunction): string {
  const settings = settingsOf(one).map((setting) => `  SET ${setting}`);
  return [
    `CREATE OR REPLACE FUNCTION partway.${one.name}(${one.args}) RETURNS ${one.returns}`,
    `  LANGUAGE ${one.language} ${one.volatility} SECURITY INVOKER`,
    ...settings,
    `AS $partway$${one.body.trimEnd()}\n$partway$`,
  ].join("\n");
}

/**
 * An inner function in SQL has none: with settings of its own it is called for each leaf instead of becoming part of the
 * query. It runs under those of the function that was called.
 */
function settingsOf(one: SqlFunction): string[] {
  if (!isInner(one)) return [...PINNED, WAITS];
  return one.language === "sql" ? [] : PINNED;
}

export function commentSql(one: SqlFunction, version: string): string {
  return `COMMENT ON FUNCTION ${signature(one)} IS ${literal(`${MARK}${version}: ${one.about}`)}`;
}

/** `CASE kind WHEN 'day' THEN 90 ... END`, from the program's own table, so that both have the same numbers. */
export function caseOf(of: string, values: Readonly<Record<string, string | number | bigint>>): string {
  const whens = Object.entries(values).map(([key, value]) => {
    const text = typeof value === "string" ? literal(value) : String(value);
    return `WHEN ${literal(key)} THEN ${text}`;
  });
  return `CASE ${of} ${whens.join(" ")} END`;
}

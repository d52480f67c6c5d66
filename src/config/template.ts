/**
 * Leaf-name templates: `{table}_{YYYY}_{MM}`. Names are for people; nothing ever parses them back (DESIGN 7.8).
 * Several date parts may share braces, as the documents write them: `{YYYYMMDD}`.
 */
import { createHash } from "node:crypto";
import { badInput } from "../errors.js";
import { calendarOf } from "../plan/calendar.js";
import type { Interval, Scheme } from "../plan/types.js";

/** What distinguishes one leaf from the others. */
export type LeafPart =
  /** `start`: hours since 1970-01-01 00:00 UTC. */
  | { kind: "range-time"; every: Interval; start: number }
  | { kind: "range-int"; from: bigint; step: bigint }
  | { kind: "hash"; remainder: number }
  | { kind: "list"; value: string };

const DATE_PART = /IYYY|YYYY|MM|DD|HH|IW|WW|Q/g;
const DATE_PARTS_ONLY = /^(?:IYYY|YYYY|MM|DD|HH|IW|WW|Q)+$/;

const DEFAULTS: Record<Interval, string> = {
  hour: "{table}_{YYYY}_{MM}_{DD}_{HH}",
  day: "{table}_{YYYY}_{MM}_{DD}",
  week: "{table}_{IYYY}w{IW}",
  month: "{table}_{YYYY}_{MM}",
  quarter: "{table}_{YYYY}_q{Q}",
  year: "{table}_{YYYY}",
};

/** For each interval, the sets of parts that tell all its leaves apart; the first is what an error proposes. */
export const ENOUGH: Record<Interval, readonly (readonly string[])[]> = {
  hour: [["YYYY", "MM", "DD", "HH"]],
  day: [["YYYY", "MM", "DD"]],
  week: [
    ["IYYY", "IW"],
    ["YYYY", "IW"],
    ["IYYY", "WW"],
    ["YYYY", "WW"],
    ["YYYY", "MM", "DD"],
  ],
  month: [["YYYY", "MM"]],
  quarter: [
    ["YYYY", "Q"],
    ["YYYY", "MM"],
  ],
  year: [["YYYY"]],
};

/** The template used when none is given. */
export function defaultTemplate(scheme: Scheme): string {
  switch (scheme.kind) {
    case "range-time":
      return DEFAULTS[scheme.every];
    case "range-int":
      return "{table}_{from}";
    case "hash":
      return "{table}_{n}";
    case "list":
      return "{table}_{value}";
  }
}

/**
 * Refuses a template that cannot tell the leaves of this scheme apart. Errors: bad-input naming the unknown, the
 * unusable or the missing placeholder.
 */
export function checkTemplate(template: string, scheme: Scheme): void {
  const found = placeholders(template);
  const example = `for example --leaf '${defaultTemplate(scheme)}'`;
  if (/[{}]/.test(template.replaceAll(/\{[^{}]*\}/g, "")))
    throw badInput(
      `--leaf: a brace stands alone in "${template}"`,
      `Write placeholders as {name}, ${example}.`,
    );
  for (const name of found) {
    if (name === "table" || name === "t" || usable(name, scheme)) continue;
    const known = DATE_PARTS_ONLY.test(name) || ["n", "from", "value"].includes(name);
    throw badInput(
      known
        ? `--leaf: {${name}} means nothing for ${describe(scheme)}`
        : `--leaf: there is no placeholder {${name}}`,
      `Usable here: ${usableNames(scheme)}; ${example}.`,
    );
  }
  const missing = missingPart(found, scheme);
  if (missing !== null)
    throw badInput(
      `--leaf: "${template}" gives two leaves the same name, because {${missing}} is missing`,
      `Add it, ${example}.`,
    );
}

/** The name of one leaf, not yet shortened. `template` must have passed `checkTemplate`. */
export function renderLeafName(template: string, table: string, part: LeafPart): string {
  const parts = placeholders(template).flatMap((name) =>
    DATE_PARTS_ONLY.test(name) ? [...name.matchAll(DATE_PART)] : [],
  );
  const letters = new Set(parts.map(([name]) => name));
  const isWeek = (letters.has("IW") || letters.has("WW")) && !letters.has("MM") && !letters.has("DD");
  return template.replaceAll(/\{([^{}]*)\}/g, (_, name: string) => {
    if (name === "table" || name === "t") return table;
    switch (part.kind) {
      case "range-time":
        return name.replaceAll(DATE_PART, (token) => dateToken(token, part.start, isWeek));
      case "range-int":
        return name === "n" ? signed(floorDivide(part.from, part.step)) : signed(part.from);
      case "hash":
        return String(part.remainder);
      case "list":
        return nameable(part.value);
    }
  });
}

/** With a bare week in the name the year is the ISO year, whatever letters ask for it: 2025-12-29 is 2026w01. */
function dateToken(token: string, start: number, isWeek: boolean): string {
  const date = calendarOf(start);
  const pad = (value: number, width: number) => String(value).padStart(width, "0");
  switch (token) {
    case "YYYY":
      return pad(isWeek ? date.isoYear : date.year, 4);
    case "IYYY":
      return pad(date.isoYear, 4);
    case "MM":
      return pad(date.month, 2);
    case "DD":
      return pad(date.day, 2);
    case "HH":
      return pad(date.hour, 2);
    case "Q":
      return String(Math.ceil(date.month / 3));
    default:
      return pad(date.isoWeek, 2);
  }
}

function placeholders(template: string): string[] {
  return [...template.matchAll(/\{([^{}]*)\}/g)].map((match) => match[1] ?? "");
}

function usable(name: string, scheme: Scheme): boolean {
  switch (scheme.kind) {
    case "range-time":
      return DATE_PARTS_ONLY.test(name);
    case "range-int":
      return name === "from" || name === "n";
    case "hash":
      return name === "n";
    case "list":
      return name === "value";
  }
}

function usableNames(scheme: Scheme): string {
  switch (scheme.kind) {
    case "range-time":
      return "{table} {YYYY} {MM} {DD} {HH} {Q} {IYYY} {IW} {WW}";
    case "range-int":
      return "{table} {from} {n}";
    case "hash":
      return "{table} {n}";
    case "list":
      return "{table} {value}";
  }
}

function describe(scheme: Scheme): string {
  switch (scheme.kind) {
    case "range-time":
      return `leaves of one ${scheme.every}`;
    case "range-int":
      return "leaves of a number range";
    case "hash":
      return "hash leaves";
    case "list":
      return "list leaves";
  }
}

/** The first placeholder without which two leaves get one name, or null. */
function missingPart(found: string[], scheme: Scheme): string | null {
  if (scheme.kind === "hash") return found.includes("n") ? null : "n";
  if (scheme.kind === "list") return found.includes("value") ? null : "value";
  if (scheme.kind === "range-int") return found.includes("from") || found.includes("n") ? null : "from";
  const tokens = new Set(
    found.flatMap((name) => (DATE_PARTS_ONLY.test(name) ? (name.match(DATE_PART) ?? []) : [])),
  );
  const gaps = ENOUGH[scheme.every].map((set) => set.filter((token) => !tokens.has(token)));
  if (gaps.some((gap) => gap.length === 0)) return null;
  // Propose the way that needs least: what is there already shows what was meant.
  return gaps.toSorted((a, b) => a.length - b.length)[0]?.[0] ?? null;
}

function floorDivide(value: bigint, by: bigint): bigint {
  return value < 0n ? -((-value + by - 1n) / by) : value / by;
}

/** A minus sign makes a name that must be quoted everywhere: -1000 becomes m1000. */
function signed(value: bigint): string {
  return value < 0n ? `m${-value}` : String(value);
}

/** A list value as part of a name. What is replaced is told apart by a hash, so two values never share a name. */
function nameable(value: string): string {
  if (/^[\p{L}\p{N}_]+$/u.test(value)) return value;
  const hash = createHash("sha256").update(value).digest("hex").slice(0, 6);
  const readable = value.replaceAll(/[^\p{L}\p{N}_]+/gu, "_").replaceAll(/^_+|_+$/g, "");
  return readable === "" ? `v${hash}` : `${readable}_${hash}`;
}

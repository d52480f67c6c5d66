/** A table that is partitioned already, in one line. Pure. */
import { count, plural, bytes as sizeText } from "../../ui/format.js";
import { parseHours } from "../plan/calendar.js";
import type { LeafFacts } from "./facts.js";
import { LARGE_LEAF, MOST_LEAVES } from "./interval.js";

/** G1: leaves for the next days are missing. */
const WARN_DAYS = 7;
const CRITICAL_DAYS = 3;

/** `RANGE (created_at), 26 leaves, 1.2 GB, reaching until 2027-05-01 (156 days ahead): healthy`, or what is not. */
export function healthLine({ key, leaves }: LeafFacts, now: string): string {
  const bytes = leaves.reduce((sum, leaf) => sum + leaf.bytes, 0);
  const end = lastBound(leaves);
  const ahead = end === null ? null : daysAhead(end, now);
  const reach =
    end === null ? "" : `, reaching until ${end}${ahead === null ? "" : ` (${aheadText(ahead)})`}`;
  const wrong = [
    ...(leaves.length === 0 ? ["no leaf: every INSERT is rejected"] : []),
    ...(ahead !== null && ahead < WARN_DAYS
      ? [`${ahead < CRITICAL_DAYS ? "CRITICAL" : "WARNING"}: leaves run out, later rows are rejected`]
      : []),
    ...leaves
      .filter((leaf) => leaf.bounds === "DEFAULT" && (leaf.rows ?? 0) > 0)
      .map(
        (leaf) =>
          `${leaf.name}, the default, holds about ${count(leaf.rows ?? 0)} rows and stands in the way of new leaves`,
      ),
    ...leaves
      .filter((leaf) => leaf.bytes > LARGE_LEAF)
      .map((leaf) => `${leaf.name} is ${sizeText(leaf.bytes)}: a finer interval would be better`)
      .slice(0, 1),
    ...(leaves.length > MOST_LEAVES
      ? [`more than ${count(MOST_LEAVES)} leaves: planning and locks are felt`]
      : []),
  ];
  return `${key}, ${leaves.length === 1 ? "1 leaf" : `${count(leaves.length)} leaves`}, ${sizeText(bytes)}${reach}: ${wrong.join("; ") || "healthy"}.`;
}

/** The highest upper bound of leaves by range of one time column, as the server prints it; null for others. */
function lastBound(leaves: LeafFacts["leaves"]): string | null {
  const ends = leaves.flatMap(({ bounds }) => {
    const end = /^FOR VALUES FROM \(.*\) TO \('([^']+)'\)$/.exec(bounds)?.[1];
    const hours = end === undefined ? null : parseHours(end);
    return end === undefined || hours === null ? [] : [{ end, hours }];
  });
  const last = ends.toSorted((a, b) => a.hours - b.hours).at(-1);
  return last?.end.replace(/ 00:00:00(\+00)?$/, "") ?? null;
}

function daysAhead(end: string, now: string): number | null {
  const [to, from] = [parseHours(end), parseHours(now)];
  return to === null || from === null ? null : Math.floor((to - from) / 24);
}

function aheadText(days: number): string {
  return days < 0 ? `${plural(-days, "day")} ago` : `${plural(days, "day")} ahead`;
}

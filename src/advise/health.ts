/** A table that is partitioned already, in one line. Pure. */
import { count, plural, bytes as sizeText } from "../../ui/format.js";
import { parseBound } from "../care/bound.js";
import { parseHours } from "../plan/calendar.js";
import type { LeafFacts } from "./facts.js";
import { LARGE_LEAF, MOST_LEAVES } from "./interval.js";

/** G1: leaves for the next days are missing; where a leaf is an hour, for as many hours (care/health.ts). */
const WARN = 7;
const CRITICAL = 3;

/** `RANGE (created_at), 26 leaves, 1.2 GB, reaching until 2027-05-01 (156 days ahead): healthy`, or what is not. */
export function healthLine({ key, leaves }: LeafFacts, now: string): string {
  const bytes = leaves.reduce((sum, leaf) => sum + leaf.bytes, 0);
  const last = lastRange(leaves);
  const [to, from] = [last?.to ?? null, parseHours(now)];
  const hours = to === null || from === null ? null : to - from;
  const ahead = hours === null ? null : Math.floor(hours / 24);
  const reach =
    last === null ? "" : `, reaching until ${last.end}${ahead === null ? "" : ` (${aheadText(ahead)})`}`;
  const left = hours === null || last === null ? null : last.isHourly ? hours : hours / 24;
  const hasDefault = leaves.some(({ bounds }) => bounds === "DEFAULT");
  const later = hasDefault ? "later rows go into the default" : "later rows are rejected";
  const wrong = [
    ...(leaves.length === 0 ? ["no leaf: every INSERT is rejected"] : []),
    ...(left !== null && left < WARN
      ? [`${left < CRITICAL ? "CRITICAL" : "WARNING"}: leaves run out, ${later}`]
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

interface LastRange {
  /** As the server prints it. */
  end: string;
  /** Hours since 1970. */
  to: number;
  isHourly: boolean;
}

/** The leaf that ends last, of leaves by range of one time column; null for others, and where one has no end. */
function lastRange(leaves: LeafFacts["leaves"]): LastRange | null {
  const ranges: LastRange[] = [];
  for (const { bounds } of leaves) {
    if (!bounds.startsWith("FOR VALUES FROM")) continue;
    const bound = parseBound(bounds);
    const [from, ...more] = bound.kind === "range" ? bound.from : [];
    const [to] = bound.kind === "range" ? bound.to : [];
    if (more.length > 0 || to?.kind === "max" || (to?.kind === "value" && to.text === "infinity"))
      return null;
    const hours = to?.kind === "value" ? parseHours(to.text) : null;
    if (to?.kind !== "value" || hours === null) continue;
    const begins = from?.kind === "value" ? parseHours(from.text) : null;
    const isHourly = begins !== null && hours - begins < 24;
    ranges.push({ end: to.text.replace(/ 00:00:00(\+00)?$/, ""), to: hours, isHourly });
  }
  return ranges.toSorted((a, b) => a.to - b.to).at(-1) ?? null;
}

function aheadText(days: number): string {
  return days < 0 ? `${plural(-days, "day")} ago` : `${plural(days, "day")} ahead`;
}

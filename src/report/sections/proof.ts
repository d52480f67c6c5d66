/** Cutover with its tries and blockers; validation row by row. */
import { count, countdown, duration, millis, moment, timeOfDay } from "../../../ui/format.js";
import { type Block, type Cell, folded, type Section, toned } from "../doc.js";
import { type EventOf, eventsOf, type History } from "../history.js";

const SWAPS: ReadonlySet<string> = new Set(["cutover", "rollback"]);

export function cutoverSection(history: History): Section {
  const tries = eventsOf(history, "lock-try");
  const swaps = history.cutovers;
  if (swaps.length === 0 && tries.length === 0)
    return { title: "Cutover", blocks: [{ kind: "text", text: "It has not been tried.", tone: "quiet" }] };
  const drained = eventsOf(history, "cutover");
  const blocks: Block[] = [];
  if (swaps.length > 0)
    blocks.push({
      kind: "table",
      head: ["swap", "at", "tries", "waited", "locks held", "longest stall", "keys applied inside"],
      right: [2, 3, 4, 5, 6],
      rows: swaps.map((one, at) => [
        one.direction === "forward" ? "cutover" : "rollback",
        moment(one.at),
        String(one.tries),
        millis(one.waitedMs),
        millis(one.heldMs),
        millis(one.longestStallMs),
        count(drained[at]?.drainedKeys ?? 0),
      ]),
    });
  // A lock of another phase that was had at once tells nobody anything.
  const told = tries.filter((one) => SWAPS.has(one.purpose) || one.outcome === "timeout");
  if (told.length > 0)
    blocks.push({
      kind: "table",
      head: ["try", "at", "for", "outcome", "waited", "who stood in the way"],
      right: [4],
      rows: folded(told.map(tryRow), 60),
    });
  return { title: "Cutover", blocks };
}

function tryRow(one: EventOf<"lock-try">): Cell[] {
  return [
    String(one.attempt),
    timeOfDay(one.at),
    one.purpose,
    one.outcome === "acquired" ? toned("acquired", "good") : toned("let go", "warn"),
    `${millis(one.waitedMs)} of ${millis(one.timeoutMs)}`,
    one.blockers
      .map(
        (b) =>
          `pid ${b.pid}${b.application === "" ? "" : ` (${b.application})`}, open ${countdown(b.ageSeconds)}: ${shortened(b.query)}`,
      )
      .join("; "),
  ];
}

function shortened(query: string): string {
  const line = query.replaceAll(/\s+/g, " ").replace(/[\s;]+$/, "");
  return line.length > 90 ? `${line.slice(0, 90)}...` : line;
}

export function validationSection(history: History): Section {
  const told = eventsOf(history, "validation");
  const rows = history.validations.map((one): Cell[] => {
    const excluded = told.find(({ ms, rows: n }) => ms === one.ms && n === one.rows)?.excluded;
    return [
      moment(one.at),
      one.direction === "forward" ? "old to new" : "new to old",
      one.result === "equal" ? toned("equal", "good") : toned("DIFFERENT", "bad"),
      count(one.rows),
      excluded === undefined ? "unknown" : count(excluded),
      one.sourceHash,
      one.shadowHash,
      duration(one.ms),
    ];
  });
  if (rows.length === 0)
    return { title: "Validation", blocks: [{ kind: "text", text: "Not yet.", tone: "quiet" }] };
  const blocks: Block[] = [
    {
      kind: "table",
      head: [
        "at",
        "direction",
        "result",
        "rows",
        "keys left out",
        "hash, live side",
        "hash, other side",
        "took",
      ],
      right: [3, 4, 7],
      rows,
    },
    {
      kind: "text",
      tone: "quiet",
      text: "Every row and column of both sides on one snapshot. Keys left out were in the change log at that moment: they were applied afterwards.",
    },
  ];
  const differences = eventsOf(history, "difference");
  if (differences.length > 0)
    blocks.push({
      kind: "table",
      head: ["leaf", "row", "key", "partition"],
      rows: folded(
        differences.map((one) => [one.leaf, toned(one.kind, "bad"), one.key, one.partition]),
        40,
      ),
    });
  return { title: "Validation", blocks };
}

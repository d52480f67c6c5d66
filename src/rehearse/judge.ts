/** What the plans on both tables mean for a statement, and what to write instead. Pure. */
import type { Planned } from "./bench.js";
import type { Shape } from "./shape.js";
import type { Rehearsed, Verdict } from "./types.js";

/** Reading every one of this many leaves where an index of the source was enough is worse whatever the costs say. */
const MANY_LEAVES = 10;
/** random_page_cost: below one page there is nothing to compare (an INSERT costs 0.01, the newest row 0.6). */
const ONE_PAGE = 4;
/** But not where the plan costs about what it did: newest rows with a LIMIT name all leaves and open one. */
const HARDLY_MORE = 1.5;
/** The lock or the time that planning was given was not enough; or our alias stood in the way of another table's. */
const UNSURE: ReadonlySet<string> = new Set(["55P03", "57014", "42712"]);

export interface Evidence {
  shape: Shape;
  /** null: nothing that is planned (COPY, TRUNCATE). */
  before: Planned | null;
  after: Planned | null;
  /** `schema.name` of the source and of every leaf. */
  source: string;
  leaves: readonly string[];
  /** An index of a leaf (or of the new table) -> its name after cutover. */
  indexNames: ReadonlyMap<string, string>;
  table: string;
  partitionColumn: string;
  /** Hash leaves are found by equality alone. */
  isHash: boolean;
  /** The columns that identify a row today, and the index of that. */
  key: readonly string[];
  keyIndex: string;
  /** Ratio of costs from which a statement counts as worse. */
  worse: number;
}

export type Judgement = Pick<
  Rehearsed,
  "verdict" | "reasons" | "advice" | "leaves" | "cost" | "indexes" | "measured"
>;

export function judge(evidence: Evidence): Judgement {
  const { before, after } = evidence;
  const broken = breaks(evidence);
  const facts = planned(evidence);
  const refused = before?.ok === false && !UNSURE.has(before.state ?? "");
  if (refused && after?.ok === true && broken.length === 0)
    return {
      ...facts,
      verdict: "fine",
      reasons: [`it works from the cutover on only: on the source ${before.why}`],
      advice: [
        "Let the application write it from the cutover on; an ON CONFLICT works on both sides if the source is given a unique index of those columns before the migration begins.",
      ],
    };
  if (before?.ok === false && broken.length === 0)
    return {
      ...facts,
      verdict: "unknown",
      reasons: [`it cannot be planned on the source: ${before.why}`],
      advice: [],
    };
  if (after?.ok === false && before?.ok === true && broken.length === 0) {
    const verdict: Verdict = UNSURE.has(after.state ?? "") ? "unknown" : "breaks";
    return { ...facts, verdict, reasons: [`on the new table: ${after.why}`], advice: [] };
  }
  if (broken.length > 0)
    return {
      ...facts,
      verdict: "breaks",
      reasons: broken.map(({ reason }) => reason),
      advice: broken.map(({ advice }) => advice),
    };
  const reasons = worsenings(evidence, facts);
  if (reasons.length === 0) return { ...facts, verdict: "fine", reasons, advice: [] };
  return { ...facts, verdict: "worse", reasons, advice: [advised(evidence)] };
}

function advised({ shape, partitionColumn: column, isHash }: Evidence): string {
  return missingPredicate({
    ...{ partition: shape.partition, column, isHash, analyze: "partway rehearse --analyze" },
  });
}

function planned({ before, after, leaves, indexNames, source }: Evidence) {
  const none = { leaves: null, cost: null, indexes: { before: [], lost: [] }, measured: null };
  if (before === null || after === null || !before.ok || !after.ok) return none;
  const among = (scanned: readonly string[]) => scanned.filter((name) => leaves.includes(name)).length;
  const was = before.custom.cost;
  const is = after.custom.cost;
  const ratio = Math.max(is, ONE_PAGE) / Math.max(was, ONE_PAGE);
  const kept = new Set(after.custom.indexes.map((name) => indexNames.get(name) ?? name));
  const used = before.custom.indexes;
  const scans = among((after.measured ?? after.custom).scanned);
  const ms = [before.measured?.executedMs ?? null, after.measured?.executedMs ?? null] as const;
  return {
    leaves: before.custom.scanned.includes(source)
      ? { scanned: scans, total: leaves.length, prepared: among(after.prepared.scanned) }
      : null,
    cost: { before: was, after: is, ratio },
    indexes: { before: used, lost: used.filter((name) => !kept.has(name)) },
    measured: ms[0] === null || ms[1] === null ? null : { beforeMs: ms[0], afterMs: ms[1] },
  };
}

function worsenings(evidence: Evidence, facts: ReturnType<typeof planned>): string[] {
  const { cost, leaves, indexes } = facts;
  const reasons: string[] = [];
  if (cost !== null && cost.ratio >= evidence.worse && !isLeftOutLater(evidence, facts))
    reasons.push(`it costs ${cost.ratio.toFixed(1)} times as much`);
  const all = leaves !== null && leaves.scanned === leaves.total && (cost?.ratio ?? 0) >= HARDLY_MORE;
  if (all && indexes.before.length > 0 && leaves.total > MANY_LEAVES)
    reasons.push(`it reads all ${leaves.total} leaves where ${indexes.before.join(", ")} was enough`);
  if (reasons.length > 0 && indexes.lost.length > 0)
    reasons.push(`no leaf's plan uses ${indexes.lost.join(", ")}`);
  return reasons;
}

/**
 * The planner adds up leaves that a nested loop then leaves out, value by value. Where --analyze has seen that, and the
 * time is no worse, the cost says nothing.
 */
function isLeftOutLater(
  { after, worse, leaves: all }: Evidence,
  { leaves, measured }: ReturnType<typeof planned>,
): boolean {
  if (leaves === null || measured === null || after?.ok !== true) return false;
  const expected = after.custom.scanned.filter((name) => all.includes(name)).length;
  return leaves.scanned < expected && measured.afterMs < worse * Math.max(measured.beforeMs, 1);
}

export interface MissingPredicate {
  /** How the statement's conditions speak of the column. */
  partition: Shape["partition"];
  column: string;
  isHash: boolean;
  /** What to add, such as `AND created_at >= ...`; left out: with dots for the values. */
  example?: string;
  /** The command that shows which leaves are really read. */
  analyze: string;
}

/** Which condition is missing for leaves to be left out. */
export function missingPredicate({ partition, column, isHash, example, analyze }: MissingPredicate): string {
  const shown = example ?? (isHash ? `AND ${column} = ...` : `AND ${column} >= ... AND ${column} < ...`);
  switch (partition) {
    case "absent":
      return `There is no condition on ${column}, so every leaf is read. Add one: ${shown}`;
    case "wrapped":
      return `${column} stands inside an expression only, which leaves no leaf out. Compare the column itself: ${shown}`;
    case "compared":
      return `${column} is compared with what is known only while the statement runs, or in a way that leaves no leaf out (OR, ${
        isHash ? "a range" : "another type"
      }). ${analyze} shows which leaves are really read; a constant or parameter does better: ${shown}`;
  }
}

interface Break {
  reason: string;
  advice: string;
}

/** What does not work on a partitioned table, whether or not the planner says so. */
function breaks(evidence: Evidence): Break[] {
  const { shape, table } = evidence;
  const found = conflicts(evidence);
  if (shape.copyTo)
    found.push({
      reason: "42809: COPY TO does not read a partitioned table",
      advice: `Write COPY (SELECT * FROM ${table}) TO ...`,
    });
  if (shape.only)
    found.push({
      reason: "ONLY means the parent alone, which holds no rows",
      advice: "Leave ONLY out.",
    });
  if (shape.returnsSystem.length > 0)
    found.push({
      reason: `0A000: ${shape.kind.toUpperCase()} cannot return ${shape.returnsSystem.join(", ")} of a row that went into a leaf`,
      advice:
        "Return a column of the table; to tell an insert from an update, compare a column set by the one only.",
    });
  if (shape.wholeRow.length > 0)
    found.push({
      reason: `0A000 once prepared: the row type of ${shape.wholeRow.join(", ")} changes at the cutover (cached plan must not change result type)`,
      advice: `Select (${shape.wholeRow[0] ?? "t"}).* or the columns, or reconnect after the cutover.`,
    });
  return found;
}

/** ON CONFLICT: the unique index is one of the key and the partition column together from the cutover on. */
function conflicts({ shape, before, after, partitionColumn, key, keyIndex }: Evidence): Break[] {
  const { conflict } = shape;
  if (conflict?.on === "columns") {
    if (before?.ok !== true || after?.ok !== false || after.state !== "42P10") return [];
    const columns = [...new Set([...conflict.columns, partitionColumn])].join(", ");
    const only = conflict.columns.join(", ");
    return [
      {
        reason: `42P10: ${after.why}`,
        advice: `Write ON CONFLICT (${columns}). A row then conflicts only where ${partitionColumn} is the same too: it must come with ${only}.`,
      },
    ];
  }
  const isKey = conflict?.on === "anything" || (conflict?.on === "constraint" && conflict.name === keyIndex);
  if (!isKey || key.includes(partitionColumn)) return [];
  return [
    {
      reason: `no error, but another meaning: a row of the same ${key.join(", ")} and another ${partitionColumn} is no conflict any more, and both stay`,
      advice: `If ${partitionColumn} always comes with ${key.join(", ")} and never differs, accept this; else look for the row first.`,
    },
  ];
}

/** From a verdict to the advice: the plan it leads to, what that would refuse, what is worth a note, what to type. Pure. */
import { bytes as sizeText } from "../../ui/format.js";
import { parseRequest } from "../config/request.js";
import { defaultTemplate } from "../config/template.js";
import { makePlan } from "../plan/index.js";
import { schemeText } from "../plan/scheme-text.js";
import { schemeOptions, shellWord, tableName } from "../plan/typed.js";
import type { Plan, Survey } from "../plan/types.js";
import type { Advice } from "./advice.js";
import type { Measured, TableFacts, TableSummary } from "./facts.js";
import type { Verdict } from "./judge.js";
import { deadShare, outlier, totalBytes } from "./measure.js";
import { many, manyRows } from "./urgency.js";

/** Below both, no rule can ask for a table: its columns need not be looked at. */
const LOOK = { rows: 50_000, bytes: 50e6 };

/** Large enough, or written to enough, that a rule could ask for it. */
export function worthALook({ rows, heapBytes, toastBytes, indexBytes, activity }: TableSummary): boolean {
  return (
    (rows ?? 0) >= LOOK.rows ||
    heapBytes + toastBytes + indexBytes >= LOOK.bytes ||
    activity.inserts >= LOOK.rows
  );
}

function measuredOf({ schema, name, rows, heapBytes, toastBytes, indexBytes, activity }: TableSummary) {
  const all = activity.live + activity.dead;
  return {
    ...{ table: `${schema}.${name}`, rows, bytes: heapBytes + toastBytes + indexBytes, indexBytes },
    ...{ rowsPerMonth: null, growthBasis: null, dead: all === 0 ? 0 : activity.dead / all },
    ...{ keptDays: null, cut: null, next: null, refusals: [], consequences: [], notes: [] },
  } satisfies Omit<Advice, "urgency" | "rule" | "why">;
}

export const adviceOf = {
  /** Looked at no further. */
  small(summary: TableSummary): Advice {
    const facts = measuredOf(summary);
    const rows = summary.rows === null ? "Not analysed yet" : manyRows(summary.rows);
    const why = `${rows}, ${sizeText(facts.bytes)}: too small for leaves to help.`;
    return { ...facts, urgency: "leave alone", rule: "small", why };
  },

  /** Partway is at work on it, or keeps it for the way back. */
  migrating(summary: TableSummary, id: string): Advice {
    const why = `Migration ${id} stands on it: partway status ${id} says how far it is.`;
    return { ...measuredOf(summary), urgency: "leave alone", rule: "migrating", why };
  },

  partitioned(summary: TableSummary, health: string, bytes: number): Advice {
    return { ...measuredOf(summary), urgency: "partitioned", rule: "partitioned", why: health, bytes };
  },

  judged(facts: TableFacts, verdict: Verdict, measured: Measured): Advice {
    const { urgency, rule, why, growth, keptDays, cut } = verdict;
    const told = {
      ...measuredOf(facts.summary),
      ...{ urgency, rule, why, dead: deadShare(facts), keptDays },
      ...{ rowsPerMonth: growth?.rowsPerMonth ?? null, growthBasis: growth?.basis ?? null },
      notes: notesOf(facts, verdict, measured),
    };
    if (cut === null) return told;
    const plan = planFor(facts, verdict, measured);
    const { schema, name } = facts.summary;
    return {
      ...told,
      cut: {
        column: cut.column.name,
        scheme: schemeText(cut.scheme),
        because: cut.because,
        leaves: plan.leaves.length,
        leafBytes: cut.leafBytes,
      },
      next: `partway plan ${shellWord(tableName(schema, name))} ${schemeOptions(cut.scheme)}`,
      refusals: plan.refusals,
      consequences: plan.consequences,
    };
  },
};

/** What `partway plan` would make of it, from statistics instead of a look at the rows. */
function planFor({ summary, table, columns, reach }: TableFacts, { cut }: Verdict, { now }: Measured): Plan {
  if (cut === null) throw new Error("a table that is left alone has no plan");
  const { scheme, column } = cut;
  const seen = reach[column.name];
  const survey: Survey = {
    now,
    min: seen?.min ?? null,
    max: seen?.max ?? null,
    nullRows: !column.notNull && (columns[column.name]?.nullFraction ?? 0) > 0,
    infiniteRows: seen?.infinite ?? false,
    distinct: columns[column.name]?.values ?? [],
    sample: { values: [], fraction: 1 },
    rows: summary.rows ?? 0,
  };
  const asked = parseRequest("advised", { by: column.name, hash: "2" });
  const ahead =
    scheme.kind === "range-time" ? parseRequest("advised", { by: "x", every: scheme.every }).ahead : 4;
  return makePlan({
    table,
    survey,
    request: { ...asked, table: summary.name, scheme, ahead, leafTemplate: defaultTemplate(scheme) },
    fingerprint: { lines: [] },
    id: "advised",
    nonce: "",
  });
}

function notesOf(facts: TableFacts, { cut, growth }: Verdict, measured: Measured): string[] {
  const { table, summary } = facts;
  const notes: string[] = [];
  if (table.estimatedRows < 0)
    notes.push(
      `It was never analysed, so little is known of its values: ANALYZE ${tableName(summary.schema, summary.name)};`,
    );
  if (cut === null) return notes;
  if (growth === null) notes.push("How fast it grows is not known.");
  const name = cut.column.name;
  const far = outlier(facts, name, measured.now);
  if (far !== null)
    notes.push(`${name} = ${far} lies years from the other rows and stretches the leaves: look at it first.`);
  if (!cut.column.notNull && (facts.columns[name]?.nullFraction ?? 0) === 0)
    notes.push(`${name} may be NULL, though no NULL is known of; the new table forbids it.`);
  if (facts.use === null && measured.noStatements !== null && summary.activity.indexScans > 0)
    notes.push(`Whether queries name ${name} is not known: ${measured.noStatements}.`);
  const updates = summary.activity.updates;
  if (updates > 5 * Math.max(1, summary.activity.inserts) && totalBytes(facts) > 0)
    notes.push(
      `${many(updates)} updates to ${many(summary.activity.inserts)} inserts: leaves help reading and dropping, not updating.`,
    );
  return notes;
}

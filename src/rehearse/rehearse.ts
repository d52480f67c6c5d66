/**
 * The rehearsal: each statement of the application planned on the source and on the new table before anybody is
 * switched to it. Reads only; see bench.ts for what it locks.
 */
import { z } from "zod";
import { PartwayError } from "../errors.js";
import { qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import type { Plan } from "../plan/types.js";
import { leavesOf } from "../sync/leaves.js";
import { readStored } from "../sync/store.js";
import { aimAt, mentions, withUsableParams } from "./aim.js";
import { Bench, type Planned } from "./bench.js";
import { judge } from "./judge.js";
import { loadParser, type Parser } from "./parse.js";
import { type Shape, shapeOf } from "./shape.js";
import { type Fields, innermost } from "./tree.js";
import type { Rehearsal, Rehearsed, WorkloadStatement } from "./types.js";
import { chooseValues } from "./values.js";
import { fromFile, fromServer, type Workload } from "./workload.js";

/** Costs this many times as high hold up the cutover. */
export const WORSE = 5;

export interface RehearseHow {
  /** null: pg_stat_statements. */
  file: string | null;
  worse: number;
  /** Execute what only reads, on both tables. */
  analyze: boolean;
  /** Awaited before each statement; throws when the run was stopped. */
  gate?: () => Promise<void>;
}

const ALWAYS_UNSEEN = [
  "views and functions that read the table are not followed: rehearse what they hold with --file",
  "leaves left out while a statement runs (inside a nested loop) are counted as read; --analyze counts them right",
];

/** Errors: `refused` where there is no indexed new table; bad-input when there is nothing to take statements from. */
export async function rehearseOn(session: Session, plan: Plan, how: RehearseHow): Promise<Rehearsal> {
  const shadowOid = await shadowOf(session, plan);
  const parser = await loadParser();
  const { schema, source } = plan.names;
  const workload = how.file === null ? await fromServer(session, source) : await fromFile(how.file, parser);
  const bench = await Bench.open(session, { schema, table: source, oid: plan.source.oid });
  const stage: Stage = { plan, bench, parser, how, ...(await newNames(session, plan, shadowOid)) };
  const statements: Rehearsed[] = [];
  const limits = [...workload.limits, ...ALWAYS_UNSEEN];
  for (const statement of chosen(workload, plan)) {
    await how.gate?.();
    const found = await one(stage, statement);
    if (found !== null) statements.push({ ...found, n: statements.length + 1 });
  }
  // Swapped in the middle of it: what was planned last was planned on a name that is gone.
  await shadowOf(session, plan);
  if (!bench.unqualified)
    limits.push(`${source} without its schema is not this table on the connected role's search_path`);
  return { migration: plan.id, table: `${schema}.${source}`, from: workload.from, statements, limits };
}

/** The new table, when it has its indexes and statistics and nobody uses it yet. */
async function shadowOf(session: Session, plan: Plan): Promise<string> {
  const stored = await readStored(session, plan.id);
  const ready = stored?.phase === "validate" || stored?.phase === "cutover";
  if (ready && stored.shadowOid !== null) return stored.shadowOid;
  const before = stored === null || ["shadow", "copy", "index"].includes(stored.phase);
  throw new PartwayError("refused", {
    what: before
      ? `migration ${plan.id} has no indexed new table yet: plans on it would say nothing`
      : `migration ${plan.id} is past its cutover: there is nothing to rehearse`,
    state: "Nothing was touched; rehearse only reads.",
    next: before ? `partway resume ${plan.id} --until validate` : `partway status ${plan.id}`,
  });
}

interface Stage {
  plan: Plan;
  bench: Bench;
  parser: Parser;
  how: RehearseHow;
  leaves: string[];
  indexNames: Map<string, string>;
}

const INDEXES_SQL = /*sql*/ `
SELECT l.relname AS leaf, p.relname AS parent
  FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class p ON p.oid = x.indexrelid
  JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid JOIN pg_catalog.pg_class l ON l.oid = i.inhrelid
 WHERE x.indrelid = $1::oid`;

async function newNames(session: Session, plan: Plan, shadowOid: string) {
  const { schema } = plan.names;
  const final = new Map(plan.indexes.map(({ shadowName, finalName }) => [shadowName, finalName]));
  const rows = await session.rows(z.object({ leaf: z.string(), parent: z.string() }), INDEXES_SQL, [
    shadowOid,
  ]);
  return {
    leaves: (await leavesOf(session, shadowOid)).map(({ name }) => `${schema}.${name}`),
    indexNames: new Map(rows.map(({ leaf, parent }) => [leaf, final.get(parent) ?? parent])),
  };
}

/** Without Partway's own, and without pg_dump's COPY, which finds the leaves by itself. */
function chosen({ from, statements }: Workload, plan: Plan): WorkloadStatement[] {
  if (from !== "pg_stat_statements") return statements;
  const { shadow } = plan.names;
  const own =
    /\bpartway(_rehearsal)?\b|TABLESAMPLE SYSTEM \(\$1::text::float8\)|WITH RECURSIVE step AS|AS nulls,\s+\S[\s\S]* AS infinite|d\.value::text AS value/;
  const dump = /^COPY \S+ \([^()]+\) TO stdout;?$/;
  return statements.filter(
    ({ text }) => !text.includes(shadow) && !own.test(text) && !dump.test(text.trim()),
  );
}

type Found = Omit<Rehearsed, "n">;

/** One statement; null when it does not speak of the table, or is none that an application's work consists of. */
async function one(stage: Stage, statement: WorkloadStatement): Promise<Found | null> {
  const { plan, bench, parser } = stage;
  const { schema, source } = plan.names;
  const first = parser.one(statement.text);
  if (!first.ok)
    return statement.text.includes(source)
      ? { ...statement, ...NOTHING, verdict: "unknown", reasons: [`it cannot be read: ${first.why}`] }
      : null;
  // Somebody looked at a plan: that is not the application's work.
  if (statement.calls !== null && "ExplainStmt" in first.tree) return null;
  const body = bodyOf(statement.text, first.tree);
  const usable = parser.one(body);
  const text = usable.ok ? withUsableParams(body, usable.tree, usable.tokens) : body;
  const parsed = parser.one(text);
  if (!parsed.ok) return null;
  const aim = {
    ...{ schema, table: source, unqualified: bench.unqualified, to: plan.names.shadow },
    constraints: new Map(plan.indexes.map(({ finalName, shadowName }) => [finalName, shadowName])),
  };
  const mentioned = mentions(parsed.tree, aim);
  const columns = plan.source.columns.map(({ name }) => name);
  const partitionColumn = plan.request.scheme.column;
  const shape = shapeOf(parsed.tree, mentioned, columns, partitionColumn);
  if (mentioned.length === 0 || shape.kind === "other") return null;
  const both = await plansOf(stage, text, aimAt(text, parsed.tree, parsed.tokens, aim), shape);
  const judged = judge({
    ...both,
    shape,
    source: `${schema}.${source}`,
    leaves: stage.leaves,
    indexNames: stage.indexNames,
    table: qualified(schema, source),
    partitionColumn,
    isHash: plan.request.scheme.kind === "hash",
    key: plan.key.map(({ name }) => name),
    keyIndex: plan.keyIndexName,
    worse: stage.how.worse,
  });
  return { ...statement, ...judged };
}

const NOTHING = {
  advice: [],
  leaves: null,
  cost: null,
  indexes: { before: [], lost: [] },
  measured: null,
};

/** What PREPARE, DECLARE or EXPLAIN is about, as text. */
export function bodyOf(text: string, tree: Fields): string {
  const [kind] = Object.keys(tree);
  if (kind === undefined || innermost(tree).kind === kind) return text;
  const begins = /\b(with|select|insert|update|delete|merge|values|table)\b[\s\S]*$/i.exec(
    text.replace(/^\s*(prepare|declare|explain)\b/i, ""),
  );
  return begins?.[0] ?? text;
}

async function plansOf(
  { bench, how }: Stage,
  text: string,
  aimed: string,
  shape: Shape,
): Promise<{ before: Planned | null; after: Planned | null }> {
  if (shape.kind === "copy" || shape.kind === "truncate") return { before: null, after: null };
  const known = await bench.types(text);
  if (!known.ok) {
    // Written for the new table already?
    const there = await bench.types(aimed);
    if (!there.ok) return { before: known, after: null };
    const values = chooseValues(there.types, shape.params, bench.columns);
    return { before: known, after: await bench.plan(aimed, values, false) };
  }
  const values = chooseValues(known.types, shape.params, bench.columns);
  const measure = how.analyze && shape.isReadOnly;
  const before = await bench.plan(text, values, measure);
  if (before.ok) return { before, after: await bench.plan(aimed, values, measure) };
  // A value of ours that the statement does not take (22xxx): none at all says less, but says it of the application.
  const nulls = known.types.map(() => null);
  const again = await bench.plan(text, nulls, false);
  // The planner alone finds the index of an ON CONFLICT: one that is written for the new table comes here, too.
  return { before: again, after: await bench.plan(aimed, nulls, false) };
}

export function isHeldUp({ verdict }: Pick<Rehearsed, "verdict">): boolean {
  return verdict === "worse" || verdict === "breaks";
}

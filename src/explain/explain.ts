/**
 * One statement's plan, and what it means for the leaves of the partitioned tables in it. Nothing is changed: each plan
 * is made in a READ ONLY transaction with timeouts, which is rolled back.
 */
import { z } from "zod";
import { badInput } from "../errors.js";
import { ident, qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { rangesOf, withUsableParams } from "../rehearse/aim.js";
import { Bench, type Planned } from "../rehearse/bench.js";
import type { Parser } from "../rehearse/parse.js";
import { bodyOf } from "../rehearse/rehearse.js";
import { aliasOf, shapeOf } from "../rehearse/shape.js";
import { type Fields, textOf } from "../rehearse/tree.js";
import { columnOf, judgeTable, type PlansOf } from "./judge.js";
import { type CutTable, cutTables } from "./tables.js";
import type { ExplainedStatement, FailedStatement } from "./types.js";

export interface ExplainHow {
  /** For $1, $2, ...; null: none is given, and the plan for any values is shown. */
  values: readonly (string | null)[] | null;
  analyze: boolean;
  /** Longest execution with `analyze`. */
  timeoutMs: number;
}

export interface Explainer {
  session: Session;
  bench: Bench;
  parser: Parser;
  serverVersion: number;
}

export async function openExplainer(session: Session, parser: Parser, how: ExplainHow): Promise<Explainer> {
  const { version } = await session.one(
    z.object({ version: z.coerce.number() }),
    "SELECT current_setting('server_version_num') AS version",
  );
  return { session, parser, bench: await Bench.forAny(session, how.timeoutMs), serverVersion: version };
}

type Failed = Extract<Planned, { ok: false }>;

/** Errors: bad-input where the values do not fit the statement, or it cannot be executed in a read-only transaction. */
export async function explainOne(
  explainer: Explainer,
  sql: string,
  how: ExplainHow,
): Promise<ExplainedStatement | FailedStatement> {
  const { session, bench, parser } = explainer;
  const first = parser.one(sql);
  if (!first.ok) return { sql, error: first.why };
  const body = bodyOf(sql, first.tree);
  const usable = parser.one(body);
  const text = usable.ok ? withUsableParams(body, usable.tree, usable.tokens) : body;
  const parsed = parser.one(text);
  if (!parsed.ok) return { sql, error: parsed.why };
  const { kind, isReadOnly } = shapeOf(parsed.tree, [], [], "");
  if (kind === "other" || kind === "copy" || kind === "truncate")
    return { sql, error: "it has no plan: only SELECT, INSERT, UPDATE, DELETE and MERGE have one" };
  if (how.analyze && !isReadOnly)
    throw badInput(
      "--analyze executes the statement, and this one changes or locks rows",
      "Leave --analyze out: its plan is shown without executing it.",
    );
  const known = await bench.types(text);
  if (!known.ok) return failed(sql, known);
  const plans = await plansOf(explainer, text, known.types, how);
  if ("why" in plans) return failed(sql, plans);
  const ranges = rangesOf(parsed.tree);
  const oids = await bench.resolve(ranges.map(written));
  const named = oids.flatMap((oid) => oid ?? []);
  const tables = await cutTables(session, named, plans.plan.scanned);
  return {
    ...{ sql, parameters: known.types, generic: plans.generic, cost: plans.plan.cost },
    measured:
      plans.measured === null || plans.measured.executedMs === null
        ? null
        : { ms: plans.measured.executedMs, blocks: plans.measured.blocks },
    tables: tables.map((table) => {
      const mine = ranges.filter((_, at) => oids[at] === table.oid);
      const others = ranges.filter((range) => !mine.includes(range)).map(aliasOf);
      return judgeTable(table, conditionOf(parsed.tree, mine, table, others), plans);
    }),
  };
}

/** A view's columns may be the table's: without a mention of its own, any of that name counts. */
function conditionOf(tree: Fields, mine: readonly Fields[], table: CutTable, others: readonly string[]) {
  const column = columnOf(table);
  if (column === null) return "absent";
  return shapeOf(tree, mine, table.allColumns, column, mine.length === 0 ? [] : others).partition;
}

function written(range: Fields): string {
  const [schema, name] = [textOf(range["schemaname"]), textOf(range["relname"]) ?? ""];
  return schema === null ? ident(name) : qualified(schema, name);
}

async function plansOf(
  { bench, serverVersion }: Explainer,
  text: string,
  types: readonly string[],
  { values, analyze }: ExplainHow,
): Promise<PlansOf | Failed> {
  if (types.length > 0 && values === null) {
    if (analyze) throw wrongValues(types, "--analyze executes the statement");
    const made = await bench.generic(text, types.length, serverVersion);
    return made.ok ? { plan: made.plan, generic: true, prepared: null, measured: null } : made;
  }
  const given = values ?? [];
  if (given.length !== types.length)
    throw wrongValues(types, `${given.length} ${given.length === 1 ? "value is" : "values are"} given`);
  const made = await bench.plan(text, given, analyze);
  if (!made.ok) return made;
  const { custom, prepared, measured } = made;
  return { plan: custom, generic: false, prepared: types.length === 0 ? null : prepared, measured };
}

function wrongValues(types: readonly string[], why: string): Error {
  const wanted = types.map((type, at) => `$${at + 1} (${type})`).join(", ");
  return badInput(
    `${why}, and the statement has ${types.length === 0 ? "no parameters" : wanted}`,
    types.length === 0
      ? "Leave --param out."
      : `Give a value for each, in their order: --param ${types.map((_, at) => `<${at + 1}>`).join(" ")}; \\N is NULL.`,
  );
}

const READ_ONLY = "25006";

function failed(sql: string, { state, why }: Failed): FailedStatement {
  const error =
    state === READ_ONLY
      ? `${why}: a function in it writes, and --analyze executes in a read-only transaction`
      : why;
  return { sql, error };
}

/** The configured queries under EXPLAIN ANALYZE: their plans and times before and after cutover. */
import type { RunEventBody } from "../../state/events.js";
import type { Session } from "../pg/session.js";
import type { Plan } from "../plan/types.js";
import { portal, readOnly } from "./read-only.js";
import { type Query, statementOf } from "./types.js";

export type Measured = Extract<RunEventBody, { event: "query" }>;

/** Each is run twice: the first run pays for what is not in memory yet. */
const RUNS = 2;

/** A query that takes longer is told as such; the cutover waits for it. */
const TIMEOUT_MS = 30_000;

/** Measures every query and tells each. Errors: those of the connection and of a stop. */
export async function measureQueries(
  session: Session,
  plan: Plan,
  queries: readonly Query[],
  when: Measured["when"],
  hooks: { emit(event: RunEventBody): void; gate(): Promise<void> },
): Promise<void> {
  for (const query of queries) {
    await hooks.gate();
    hooks.emit(await measure(session, plan, query, when));
  }
}

async function measure(
  session: Session,
  plan: Plan,
  query: Query,
  when: Measured["when"],
): Promise<Measured> {
  const sql = statementOf(query.sql, plan.names);
  const facts = { event: "query" as const, when, name: query.name, sql };
  const runs: number[] = [];
  let text = "";
  for (let run = 0; run < RUNS; run++) {
    const answer = await readOnly(session, TIMEOUT_MS, () =>
      portal(session, `EXPLAIN (ANALYZE, BUFFERS, TIMING) ${sql}`),
    );
    if (!answer.ok) return { ...facts, runs: [], plan: null, leavesScanned: null, error: answer.error };
    text = answer.value.texts.join("\n");
    runs.push(executionTime(text) ?? answer.ms);
  }
  const leavesScanned = when === "before" ? null : scanned(text, plan);
  return { ...facts, runs, plan: text, leavesScanned, error: null };
}

/** EXPLAIN's labels are not translated. */
export function executionTime(text: string): number | null {
  const found = /^Execution Time: ([\d.]+) ms$/m.exec(text)?.[1];
  return found === undefined ? null : Number(found);
}

/** The leaves whose rows were looked at: those that were pruned, or never reached, are not. */
export function scanned(text: string, plan: Plan): number {
  const leaves = new Set(plan.leaves.map((leaf) => leaf.name));
  const read = new Set<string>();
  for (const line of text.split("\n")) {
    if (line.includes("(never executed)")) continue;
    const found = / (?:Scan|Scan Backward)(?: using (?:"(?:[^"]|"")*"|\S+))? on ("(?:[^"]|"")*"|\S+)/.exec(
      line,
    )?.[1];
    const name = found?.startsWith('"') === true ? found.slice(1, -1).replaceAll('""', '"') : found;
    if (name !== undefined && leaves.has(name)) read.add(name);
  }
  return read.size;
}

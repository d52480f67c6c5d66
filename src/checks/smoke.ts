/** The smoke checks: the application's own questions to the table, asked after cutover and whenever somebody wants. */
import { z } from "zod";
import type { RunEventBody } from "../../state/events.js";
import { qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import type { Plan } from "../plan/types.js";
import { expectedText, foundText, isMet, rowsNeeded } from "./expect.js";
import { portal, readOnly } from "./read-only.js";
import { type SmokeCheck, statementOf } from "./types.js";

export type SmokeResult = Extract<RunEventBody, { event: "smoke" }>;
export type SmokeDone = Extract<RunEventBody, { event: "smoke-done" }>;

const Kind = z.object({ kind: z.string().nullable() });

/** Which of the two tables has the application's name. */
export async function sideOf(session: Session, { names }: Plan): Promise<"old" | "new"> {
  const { kind } = await session.one(
    Kind,
    "SELECT (SELECT relkind::text FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass($1)) AS kind",
    [qualified(names.schema, names.source)],
  );
  return kind === "p" ? "new" : "old";
}

/**
 * Runs every check, also after one has failed, and tells each result. Errors: those of the connection and of a stop;
 * never what the server says against a check.
 */
export async function runSmoke(
  session: Session,
  plan: Plan,
  checks: readonly SmokeCheck[],
  hooks: { emit(event: RunEventBody): void; gate(): Promise<void> },
): Promise<SmokeDone> {
  const on = await sideOf(session, plan);
  const failed: string[] = [];
  for (const check of checks) {
    await hooks.gate();
    const result = await runOne(session, plan, check, on);
    if (!result.passed) failed.push(check.name);
    hooks.emit(result);
  }
  const next = failed.length > 0 && on === "new" ? `partway rollback ${plan.id}` : null;
  const done: SmokeDone = { event: "smoke-done", on, total: checks.length, failed, next };
  hooks.emit(done);
  return done;
}

async function runOne(
  session: Session,
  plan: Plan,
  check: SmokeCheck,
  on: "old" | "new",
): Promise<SmokeResult> {
  const { expect, timeoutMs } = check;
  const needed = rowsNeeded(expect);
  const answer = await readOnly(session, timeoutMs, () =>
    portal(session, statementOf(check.sql, plan.names), needed),
  );
  const expected = expectedText(expect);
  const facts = { event: "smoke" as const, check: check.name, on, expected, ms: answer.ms };
  if (!answer.ok) return { ...facts, passed: false, found: answer.error };
  const { rows, first } = answer.value;
  const value = first === undefined ? undefined : Object.values(first)[0];
  const isAtLeast = expect !== "no error" && "atLeast" in expect;
  const found = { rows, value, more: !isAtLeast && rows >= needed };
  return { ...facts, passed: isMet(expect, found), found: foundText(expect, found) };
}

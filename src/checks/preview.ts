/** At plan: can the configured checks and queries be run at all? One that cannot is a warning, never a refusal. */
import type { Session } from "../pg/session.js";
import type { Warning } from "../plan/types.js";
import { portal, readOnly } from "./read-only.js";
import { type Query, type SmokeCheck, statementOf } from "./types.js";

/** Planning a statement takes milliseconds; one that waits for a lock is not to hold the plan up. */
const TIMEOUT_MS = 5_000;

/** Asks the server to plan each on the source, without running it. Reads only. */
export async function previewChecks(
  session: Session,
  names: { schema: string; source: string },
  { smoke, queries }: { smoke: readonly SmokeCheck[]; queries: readonly Query[] },
): Promise<Warning[]> {
  const warnings: Warning[] = [];
  for (const [what, list] of [
    ["smoke check", smoke],
    ["query", queries],
  ] as const)
    for (const { name, sql } of list) {
      const why = await previewSql(session, statementOf(sql, names));
      if (why === null) continue;
      const advice = "Mend it in the configuration file before the run begins, which keeps it as it is then.";
      const code = what === "query" ? "query-cannot-run" : "smoke-check-cannot-run";
      warnings.push({ code, what: `${what} "${name}" cannot be run: ${why}`, advice });
    }
  return warnings;
}

/** Why a statement cannot be run, asked of the planner; null: it can. `mayWrite`: it need not be read-only. */
export async function previewSql(session: Session, sql: string, mayWrite = false): Promise<string | null> {
  const answer = await readOnly(session, TIMEOUT_MS, () => portal(session, `EXPLAIN (FORMAT JSON) ${sql}`));
  if (!answer.ok) return answer.error;
  if (mayWrite) return null;
  const writes = answer.value.texts.some((text) => /"Node Type": "(ModifyTable|LockRows)"/.test(text));
  return writes ? "it writes or locks rows, and is run in a READ ONLY transaction" : null;
}

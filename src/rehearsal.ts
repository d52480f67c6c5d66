/** `partway rehearse`: the application's statements on the new table, before it is switched to. Programmatic interface. */
import type { Journal } from "../state/journal.js";
import { type ConnectOptions, type StateOptions, targetOf, withSession } from "./api.js";
import { explainUntouched } from "./engine/faults.js";
import { accept, keep, openFindings } from "./engine/rehearsed.js";
import { openState, pickMigration } from "./engine/state-dir.js";
import { readPlan } from "./engine/stored-plan.js";
import { badInput } from "./errors.js";
import { rehearseOn, WORSE } from "./rehearse/rehearse.js";
import type { Rehearsal } from "./rehearse/types.js";

export interface RehearseOptions extends ConnectOptions, StateOptions {
  id?: string | undefined;
  /** A file of SQL statements; left out: pg_stat_statements. */
  file?: string | undefined;
  /** Ratio of costs from which a statement counts as much worse; default 5. */
  worse?: string | undefined;
  /** Execute the SELECTs on both tables, and measure. */
  analyze?: boolean | undefined;
}

export interface RehearsalReport extends Rehearsal {
  /** Numbers of the statements that hold up the cutover: nobody has accepted them. */
  open: number[];
}

/** Plans every statement on both tables, keeps what it finds, and reports. Errors: bad-input; `refused` too early. */
export async function rehearse(options: RehearseOptions): Promise<RehearsalReport> {
  const worse = Number(options.worse ?? WORSE);
  if (!(worse > 1))
    throw badInput(`--worse: "${options.worse ?? ""}" is not a ratio above 1`, "For example --worse 5.");
  return withJournal(options, async (journal, plan) => {
    const how = { file: options.file ?? null, worse, analyze: options.analyze ?? false };
    const target = await targetOf(options);
    const made = await withSession(target, (session) => rehearseOn(session, plan, how)).catch(
      (error: unknown) => Promise.reject(explainUntouched(error)),
    );
    return { ...keep(journal, made), open: openFindings(journal, plan.id).map(({ n }) => n) };
  });
}

/** Accepts findings: those named, or all. Errors: bad-input for a number that is none. */
export function acceptFindings(
  options: StateOptions & { id?: string | undefined; numbers: readonly number[] | "all" },
): Promise<{ migration: string; accepted: number[]; open: number[] }> {
  return withJournal(options, async (journal, { id }) => {
    const { numbers } = options;
    const found = journal.findings(id).map(({ n }) => n);
    const wrong = numbers === "all" ? [] : numbers.filter((n) => !found.includes(n));
    if (wrong.length > 0)
      throw badInput(
        `there is no finding ${wrong.join(", ")} of migration ${id}`,
        found.length === 0 ? `partway rehearse ${id}` : `Findings: ${found.join(", ")}.`,
      );
    const accepted = numbers === "all" ? found : [...numbers];
    accept(journal, id, accepted);
    return { migration: id, accepted, open: openFindings(journal, id).map(({ n }) => n) };
  });
}

async function withJournal<T>(
  options: StateOptions & { id?: string | undefined },
  work: (journal: Journal, plan: ReturnType<typeof readPlan>) => Promise<T>,
): Promise<T> {
  const { journal } = openState(options.state, "existing");
  try {
    return await work(journal, readPlan(pickMigration(journal, options.id)));
  } finally {
    journal.close();
  }
}

/** What a rehearsal has found holds up the cutover until somebody accepts it. A run that never rehearsed is not held. */
import type { Journal } from "../../state/journal.js";
import type { FindingRecord } from "../../state/journal-rows.js";
import type { Working } from "../../state/machine.js";
import { oneLine as clean } from "../../ui/format.js";
import { messageOf, PartwayError } from "../errors.js";
import { ConnectionLost } from "../pg/session.js";
import type { PhaseContext } from "../phases/phase.js";
import type { Plan } from "../plan/types.js";
import { isHeldUp, rehearseOn, WORSE } from "../rehearse/rehearse.js";
import type { Rehearsal } from "../rehearse/types.js";

/** Statements that are named in a refusal; the others are counted. */
const NAMED = 10;

/** The findings that nobody has accepted. */
export function openFindings(journal: Journal, id: string): FindingRecord[] {
  return journal.findings(id).filter(({ acceptedAt }) => acceptedAt === null);
}

/** The refusal of a cutover that a rehearsal speaks against; null when nothing does. */
export function heldUp(journal: Journal, { id }: Plan): PartwayError | null {
  const open = openFindings(journal, id);
  if (open.length === 0) return null;
  const lines = open.slice(0, NAMED).map((f) => `\n  ${f.n} ${f.verdict}: ${f.statement}\n    ${f.reason}`);
  const more = open.length > NAMED ? `\n  and ${open.length - NAMED} more` : "";
  return new PartwayError("refused", {
    what: `the rehearsal speaks against the cutover of ${id}: ${open.length} of the application's statements break or get much worse${lines.join("")}${more}`,
    state: "Nothing was switched; the live table is in use and changes are still captured.",
    next: `mend the statements and partway rehearse ${id} again, or accept them: partway rehearse ${id} --accept; then: partway cutover ${id}`,
  });
}

/** Accepts whatever was found. */
export function acceptAll(journal: Journal, id: string): void {
  accept(
    journal,
    id,
    openFindings(journal, id).map(({ n }) => n),
  );
}

export function accept(journal: Journal, id: string, numbers: readonly number[]): void {
  if (numbers.length > 0) journal.acceptFindings(id, numbers, new Date().toISOString());
}

/** Keeps a rehearsal; gives it with the numbers its statements have from now on, beside what others found. */
export function keep(journal: Journal, made: Rehearsal): Rehearsal {
  const { migration: id, from } = made;
  const others = journal.findings(id).filter(({ origin }) => origin !== from);
  const last = Math.max(0, ...others.map(({ n }) => n));
  const statements = made.statements.map((one) => ({ ...one, n: one.n + last }));
  const findings = statements.filter(isHeldUp).map(({ n, verdict, text, reasons }) => ({
    ...{ n, verdict },
    statement: oneLine(text),
    reason: reasons.join("; "),
  }));
  const rehearsal = { ...made, statements };
  journal.rehearsed(id, from, rehearsal, findings, new Date().toISOString());
  return rehearsal;
}

/** A statement as one line that fits a list, without what a terminal would obey. */
export function oneLine(text: string, width = 160): string {
  const line = clean(text);
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`;
}

/**
 * Before `ready` and `cutover`: rehearses where the configuration says so and nobody has yet, and refuses the cutover
 * while a finding is open. Errors: `refused`.
 */
export async function rehearseFirst(state: Working, context: PhaseContext, journal: Journal): Promise<void> {
  if (state !== "ready" && state !== "cutover") return;
  const { plan, settings } = context;
  if (settings.rehearse !== null && journal.rehearsal(plan.id) === null)
    await rehearseNow(state, context, journal, settings.rehearse);
  const held = state === "cutover" ? heldUp(journal, plan) : null;
  if (held !== null) throw held;
}

async function rehearseNow(
  state: Working,
  context: PhaseContext,
  journal: Journal,
  { file, required }: { file: string | null; required: boolean },
): Promise<void> {
  const { plan } = context;
  try {
    const session = await context.open();
    const rehearsal = await rehearseOn(session, plan, {
      file,
      worse: WORSE,
      analyze: false,
      gate: context.gate,
    });
    keep(journal, rehearsal);
    const open = openFindings(journal, plan.id).length;
    context.emit({
      event: "log",
      level: open === 0 ? "info" : "warn",
      message: `rehearsed ${rehearsal.statements.length} statements from ${rehearsal.from}: ${open} break or get much worse${
        open === 0 ? "" : `; partway rehearse ${plan.id} shows them`
      }`,
    });
  } catch (error) {
    if (error instanceof ConnectionLost) throw error;
    context.signal.throwIfAborted();
    if (state === "cutover" && required)
      throw new PartwayError("refused", {
        what: `the configuration asks for a rehearsal before the cutover of ${plan.id}, and it could not be made: ${messageOf(error)}`,
        state: "Nothing was switched; changes are still captured.",
        next: `partway rehearse ${plan.id} --file queries.sql; then: partway cutover ${plan.id}`,
      });
    context.emit({ event: "log", level: "warn", message: `not rehearsed: ${messageOf(error)}` });
  }
}

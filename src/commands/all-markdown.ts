/** `plan --all --markdown`: every table's page below one title, with the order, the sum, and the steps they share. Pure. */
import type { PlannedAll, PlannedTable } from "../many/plan.js";
import { block, code, page, prose, section, table } from "./markdown.js";
import { planSections } from "./plan-markdown.js";
import { costs } from "./plan-text.js";

/** The whole page, ending with a line end. */
export function plansMarkdown(planned: PlannedAll): string {
  const { tables, forecast: f, parallel } = planned;
  const sum =
    f.tables === 0
      ? "No table would be started."
      : `${f.tables} of ${tables.length} tables would be started; one after the other, all old tables kept: **${costs(f.seconds, f.extraDiskBytes, f.walBytes)}**.`;
  return page(
    `# Partition ${tables.length} tables`,
    `${sum}${parallel === null ? "" : ` At most ${parallel} at once.`}`,
    section(2, "In this order", order(tables)),
    section(2, "Steps", STEPS),
    ...tables.flatMap((one) => (one.plan === null ? [] : planSections(one.plan, 2, ""))),
  );
}

function order(tables: readonly PlannedTable[]): string {
  return table(
    ["", "Table", "Priority", "After", "Together", "Stands"],
    tables.map((one, at) => [
      String(at + 1),
      code(one.table),
      prose(one.priority),
      one.after.map(code).join(", ") || "-",
      one.together === null ? "-" : prose(String(one.together)),
      standing(one),
    ]),
  );
}

function standing({ standing: kind, migration, error, plan }: PlannedTable): string {
  if (error !== null) return `cannot go on: ${prose(error.message)} Next: ${prose(error.next)}`;
  if (kind === "migrated") return "partitioned already: left as it is";
  if (kind === "open") return `begun as ${code(migration ?? "")}: it is resumed`;
  const refused = plan?.refusals.length ?? 0;
  return refused === 0
    ? "would be started"
    : `refused: ${plan?.refusals.map((r) => code(r.code)).join(", ")}`;
}

const STEPS = [
  "The configuration file says how each table is cut. The same command goes on after an interruption; `<id>` of each table is what it prints.",
  block("sh", [
    "# before the window: fill, index and compare every table; nothing is switched",
    "partway run --all --until validate",
    "# in the window: the rest, each table through its cutover",
    "partway run --all",
    "# the way back, a table at a time, while its old table is kept",
    "partway rollback <id>",
    "# after its window",
    "partway finalize <id>",
  ]),
].join("\n\n");

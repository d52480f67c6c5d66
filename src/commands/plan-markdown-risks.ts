/** What may go wrong with a migration and what Partway does then, and the way back: for the ticket. Pure. */

import { fallbackOf } from "../plan/fallback.js";
import { durationText } from "../plan/typed.js";
import type { Plan } from "../plan/types.js";
import { code, prose, table } from "./markdown.js";

/** Rows of [what, what Partway does, what the operator types]. */
export function goingWrong(plan: Plan): string {
  const { request, names } = plan;
  const column = request.scheme.column;
  const isWal = request.capture === "wal";
  const rows: [string, string, string][] = [
    [
      "The process, its machine or the connection dies",
      isWal
        ? "Nothing is lost: a replication slot keeps the changes, and with them WAL, until it is read. What was committed is not done twice."
        : "Nothing is lost: triggers go on capturing in the database. What was committed is not done twice.",
      code("partway resume <id>"),
    ],
    [
      "The lock cannot be had (long transactions on the table)",
      "It lets go after each try and does not queue; after 30 tries it stops, exit code 6, nothing changed.",
      `${code("partway cutover <id>")} at a quiet hour`,
    ],
    [
      "The two sides differ",
      "Nothing is switched, exit code 4; leaf and keys are named.",
      `${code("partway verify <id>")}, ${code("partway resume <id> --repair")}`,
    ],
    [
      "Somebody alters the table meanwhile",
      "Stops before it would switch, exit code 7, with the difference.",
      `undo it, or ${code("partway abort <id>")} and plan again`,
    ],
    [
      "The disk fills",
      "The run ends without switching and can be resumed. The change log goes on growing until then.",
      `${code("partway abort <id>")} frees new table and log at once`,
    ],
    [
      `A row comes without ${column}, or with a value no leaf can hold`,
      `Until cutover ${beyond(plan)} The application goes on.`,
      `correct the row, ${code("partway resume <id>")}`,
    ],
    [
      "The cutover takes longer than its budget",
      "It is rolled back by itself and tried again; the application stays on the old table.",
      `${code("--hold-budget 3s")} allows for more`,
    ],
    [
      "The application misbehaves after cutover",
      `The old table, ${names.schema}.${names.retired}, has followed every write.`,
      code("partway rollback <id>"),
    ],
  ];
  return table(
    ["What", "What Partway does", "What to type"],
    rows.map(([what, does, type]) => [prose(what), prose(does), type]),
  );
}

function beyond(plan: Plan): string {
  const rest = fallbackOf(plan);
  if (rest === null) return "a missing leaf is made for it; a NULL or infinite value stops the run.";
  const where = `goes into the DEFAULT leaf ${rest.name}; a NULL stops the run.`;
  return plan.request.scheme.kind === "list"
    ? `a value that is not in the list ${where}`
    : `a missing leaf is made for it; what no leaf can hold ${where}`;
}

/** How to go back in each stage, and until when. */
export function going({ request, names }: Plan): string {
  const kept = durationText(request.keepSeconds);
  const retired = code(`${names.schema}.${names.retired}`);
  return [
    `- Before cutover: ${code("partway abort <id>")} removes everything Partway made. The table has not been touched but for ${request.capture === "wal" ? "its publication" : "its capture triggers"}.`,
    `- For ${code(kept)} after cutover, by the database's clock: ${code("partway rollback <id>")} brings ${retired} up to date and swaps the names back, under the same lock discipline. No write made since is lost; ${code("partway status <id>")} says at every moment whether it is safe and why not, ${code("partway extend <id> --by 24h")} makes the time longer.`,
    `- After that, or after ${code("partway finalize <id>")}: no way back but the backup (${code("partway restore")}), which does not have the writes made since.`,
  ].join("\n");
}

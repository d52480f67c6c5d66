/** The functions of `partway install-sql` (FEATURES F9). */
import type { Mutant } from "./mutant.js";

const TEST = "test/insql/functions.test.ts";
const CHANGES_TS = "src/insql/changes.ts";
const TASKS_TS = "src/insql/tasks.ts";

const insql = (guard: string, edit: Mutant["edits"][number], test: string): Mutant => ({
  guard: `insql: ${guard}`,
  rule: "F9",
  edits: [edit],
  red: [[TEST, test]],
});

export const INSQL: readonly Mutant[] = [
  insql(
    "a dry run is what nobody asked not to have",
    [
      TASKS_TS,
      "'{drop}', months, coalesce(dry_run, true))",
      "'{drop}', months, coalesce(dry_run AND false, true) AND false)",
    ],
    "would be changed by a dry run",
  ),
  insql(
    "one maintenance at a time in a database",
    [
      CHANGES_TS,
      "body: `SELECT pg_try_advisory_xact_lock(hashtext('partway maintain'), 0)`",
      "body: `SELECT true`",
    ],
    "would be worked on by two at once",
  ),
  insql(
    "a migration's table is left alone",
    [CHANGES_TS, "IF migration IS NOT NULL THEN\n", "IF migration = '' THEN\n"],
    "would lose its leaves to a migration that has not ended",
  ),
  insql(
    "what is expired is listed before the first strong lock",
    [
      TASKS_TS,
      "partway._retire(one, expired -> one::text, dry_run)",
      "partway._retire(one, partway._to_retire(one, months, partway._beyond(one)), dry_run)",
    ],
    "and the next table's would be looked for while the first is kept from the application",
  ),
  insql(
    "a leaf that has taken another's name is not detached",
    [
      CHANGES_TS,
      "        format('SELECT partway._still(%s, %s, %L, %L)', of_table, one.oid, one.nsp, one.name),\n",
      "",
    ],
    "would go in another one's place that has its name by now",
  ),
  insql(
    "strong locks are held for a second at most",
    [
      CHANGES_TS,
      "IF is_strong AND partway._held_ms() > ",
      "IF is_strong AND partway._held_ms() > 1000000 + ",
    ],
    "would be kept from the application by one leaf after the other",
  ),
  insql(
    "a clock far ahead takes nothing away",
    [CHANGES_TS, "    IF is_beyond THEN\n", "    IF is_beyond AND false THEN\n"],
    "would lose everything on a wrong clock's word",
  ),
  insql(
    "a leaf whose archive is under way stays",
    [
      CHANGES_TS,
      "ELSIF one.oid IN (SELECT o FROM partway._archived(of_table, 'open') AS o) THEN",
      "ELSIF false THEN",
    ],
    "would be dropped although it was brought back from an archive, or before its archive is proven",
  ),
  insql(
    "rows that wait in DEFAULT keep a leaf from being attached over them",
    [CHANGES_TS, "    IF waits THEN\n", "    IF waits AND false THEN\n"],
    "rows that wait in DEFAULT are not moved by a function",
  ),
  insql(
    "nothing is changed by a snapshot that is old",
    [
      TASKS_TS,
      "IF NOT dry_run AND current_setting('transaction_isolation') IN",
      "IF dry_run AND current_setting('transaction_isolation') IN",
    ],
    "would be judged by a policy that is no more",
  ),
];

/** Sessions, journal, backup, secrets, refusals (DESIGN 3.7, 3.9, 4, 7). */
import type { Mutant } from "./mutant.js";

const SESSION_TS = "src/pg/session.ts";
const OPEN_TS = "state/journal-open.ts";
const VERIFY_TS = "src/backup/verify.ts";
const KILL_TS = "src/kill-switch.ts";
const REFUSALS_TS = "src/plan/refusals/index.ts";

const SESSION_TEST = "test/guards/session.test.ts";
const JOURNAL_TEST = "test/state/journal.unit.test.ts";
const FILES_TEST = "test/state/journal-files.unit.test.ts";
const PROCESSES_TEST = "test/state/journal-processes.unit.test.ts";
const RESTORE_TEST = "test/backup/restore.test.ts";
const KILL_TEST = "test/guards/kill-switch.unit.test.ts";
const CARRY_TS = "src/plan/carry.ts";
const ATTACHED_TEST = "test/migrations/attached.test.ts";
const REFUSALS_TEST = "test/plan/refusals.unit.test.ts";
const LOG_TEST = "test/log.unit.test.ts";

const REFUSED = "is refused with the statement that mends it";
const DEFAULTS = "a role's or database's default would reach Partway's statements";

export const STATE: readonly Mutant[] = [
  {
    guard: "no foreign key of the table is on the lagging side: the retired table's are dropped at cutover",
    rule: "3.7",
    edits: [[CARRY_TS, "...live.foreignKeys.flatMap((key) => dropForeignKey(side, key)),", ""]],
    red: [[ATTACHED_TEST, "a row without its parent would be taken"]],
  },
  {
    guard: "no foreign key points at the lagging side: what becomes of one is asked",
    rule: "3.7",
    edits: [[REFUSALS_TS, "\n  incomingForeignKeys,\n", "\n"]],
    red: [[REFUSALS_TEST, `${REFUSED} … incoming-foreign-key`]],
  },
  {
    guard: "no foreign key points at the lagging side: it is dropped at cutover",
    rule: "3.7",
    edits: [[CARRY_TS, "      ...incoming.drop,\n", ""]],
    red: [[ATTACHED_TEST, "of other tables: dropped when the operator says so"]],
  },
  {
    guard: "no trigger of the application fires on the lagging side: the retired table's are switched off",
    rule: "3.7",
    edits: [[CARRY_TS, "    ...away,\n", ""]],
    red: [[ATTACHED_TEST, "a trigger would be gone, fire twice"]],
  },
  {
    guard: "views read the table that has the name",
    rule: "3.6",
    edits: [[CARRY_TS, "      ...live.views.map(view),\n", ""]],
    red: [[ATTACHED_TEST, "somebody would see rows that are not his"]],
  },
  {
    guard: "a view that was changed since the plan is drift: its old definition would come back",
    rule: "3.9",
    edits: [["src/catalog/fingerprint.ts", "md5(concat(pg_get_viewdef(c.oid), c.reloptions))", "''"]],
    red: [["test/catalog/fingerprint.test.ts", "a replaced view"]],
  },
  {
    guard: "no unique guard without the partition column: refused",
    rule: "3.7",
    edits: [[REFUSALS_TS, "\n  uniqueIndexes,\n", "\n"]],
    red: [[REFUSALS_TEST, `${REFUSED} … unique-without-partition-key`]],
  },
  {
    guard: "a table without a key is refused",
    rule: "3.1",
    edits: [[REFUSALS_TS, "\n  noKey,\n", "\n"]],
    red: [[REFUSALS_TEST, `${REFUSED} … no-key`]],
  },
  {
    guard: "a publication that would publish the shadow is refused",
    rule: "7.15",
    edits: [[REFUSALS_TS, "\n  publications,\n", "\n"]],
    red: [[REFUSALS_TEST, `${REFUSED} … publication`]],
  },
  {
    guard: "rows with NULL as partition value are refused at preflight",
    rule: "3.5",
    edits: [[REFUSALS_TS, "\n  nullValues,\n", "\n"]],
    red: [[REFUSALS_TEST, `${REFUSED} … null-partition-values`]],
  },
  {
    guard: "a pooler in transaction mode is refused",
    rule: "3.9",
    edits: [["src/pg/pooler.ts", "if (!moved) return [];", "return [];"]],
    red: [
      ["test/pg/pooler.test.ts", "a session whose backend changes between transactions would lose its lease"],
    ],
  },
  {
    guard: "row_security = off: rows that a policy hides are an error, not left out",
    rule: "7.16",
    edits: [[SESSION_TS, `["row_security", "off"],`, ""]],
    red: [
      [
        "test/catalog/grants.test.ts",
        "a survey without the right to read would end in a bare server error, or skip rows silently",
      ],
    ],
  },
  {
    guard: "the session's time zone is UTC",
    rule: "7.7",
    edits: [[SESSION_TS, `["TimeZone", "UTC"],`, ""]],
    red: [[SESSION_TEST, DEFAULTS]],
  },
  {
    guard: "a role's statement_timeout does not reach Partway",
    rule: "7.17",
    edits: [[SESSION_TS, `["statement_timeout", "0"],`, ""]],
    red: [[SESSION_TEST, DEFAULTS]],
  },
  {
    guard: "a role's idle_in_transaction_session_timeout does not reach Partway",
    rule: "7.17",
    edits: [[SESSION_TS, `["idle_in_transaction_session_timeout", "0"],`, ""]],
    red: [[SESSION_TEST, DEFAULTS]],
  },
  {
    guard: "what Partway's connections write does not gather in the kernel",
    rule: "issue 7",
    edits: [[SESSION_TS, `["backend_flush_after", "1MB"],`, ""]],
    red: [[SESSION_TEST, DEFAULTS]],
  },
  {
    guard: "a database's default_transaction_isolation does not reach Partway",
    rule: "3.6",
    edits: [[SESSION_TS, `["default_transaction_isolation", "read committed"],`, ""]],
    red: [[SESSION_TEST, DEFAULTS]],
  },
  {
    guard: "a role's search_path does not reach Partway",
    rule: "7.17",
    edits: [[SESSION_TS, `["search_path", ""],`, ""]],
    red: [[SESSION_TEST, DEFAULTS]],
  },
  {
    guard: "synchronous_commit is on: what Partway was told is committed survives a crash",
    rule: "7.17",
    edits: [[SESSION_TS, `["synchronous_commit", "on"],`, ""]],
    red: [[SESSION_TEST, DEFAULTS]],
  },
  {
    guard: "values come back as text: JavaScript does not change them",
    rule: "7.19",
    edits: [[SESSION_TS, "    types: AS_TEXT,\n    ...(target", "    ...(target"]],
    red: [[SESSION_TEST, "a value would change on its way through JavaScript"]],
  },
  {
    guard: "a journal's commit is on the disk (synchronous = FULL)",
    rule: "4",
    edits: [[OPEN_TS, `db.pragma("synchronous = FULL");`, ""]],
    red: [[JOURNAL_TEST, "a commit survives a power cut: synchronous is FULL"]],
  },
  {
    guard: "only its owner may read the journal (0600)",
    rule: "4",
    edits: [[OPEN_TS, `openSync(draft, "wx", 0o600)`, `openSync(draft, "wx", 0o644)`]],
    red: [[JOURNAL_TEST, "only its owner may read it"]],
  },
  {
    guard: "another program's SQLite file is never written to",
    rule: "4",
    edits: [[OPEN_TS, `if (db.pragma("application_id", { simple: true }) !== APPLICATION_ID)`, "if (false)"]],
    red: [[FILES_TEST, "another program's SQLite file"]],
  },
  {
    guard: "a damaged journal is refused and kept",
    rule: "4",
    edits: [[OPEN_TS, `if (finding !== "ok") throw`, "if (false) throw"]],
    red: [[FILES_TEST, "a journal with any one page overwritten is refused and kept"]],
  },
  {
    guard: "a journal cut short is refused and kept",
    rule: "4",
    edits: [[OPEN_TS, "if (isRagged(db, file)) throw", "if (false) throw"]],
    red: [[FILES_TEST, "a journal cut short anywhere is refused and kept"]],
  },
  {
    guard: "a journal of a newer Partway is refused",
    rule: "4",
    edits: [[OPEN_TS, "if (version > VERSION) throw newer(file, version, VERSION);", ""]],
    red: [[FILES_TEST, "a journal of a newer Partway is refused by version"]],
  },
  {
    guard: "a journal is linked into place and never replaces one",
    rule: "4",
    edits: [
      [OPEN_TS, "linkSync(draft, file);", "renameSync(draft, file);"],
      [OPEN_TS, "  openSync,\n", "  openSync,\n  renameSync,\n"],
    ],
    red: [
      ["test/guards/journal.unit.test.ts", "what appears under the journal's name while a new one is made"],
    ],
  },
  {
    guard: "a process that lives is not taken for dead",
    rule: "3.9",
    edits: [["state/journal-owner.ts", "current.pid === next.pid || !isAlive(current.pid)", "true"]],
    red: [[PROCESSES_TEST, "a second one is refused while the first lives"]],
  },
  {
    guard: "a password in the plan is refused by the journal",
    rule: "4",
    edits: [["state/journal-secrets.ts", "if (where !== null)", "if (false)"]],
    red: [[JOURNAL_TEST, "is refused by place, and nothing is written"]],
  },
  {
    guard: "a password in an error does not reach the journal",
    rule: "4",
    edits: [
      ["state/journal-secrets.ts", `return text.replaceAll(EVERY_CREDENTIALS, "$1***");`, "return text;"],
    ],
    red: [[JOURNAL_TEST, "a password in an error message, a snapshot or an answer does not reach the disk"]],
  },
  {
    guard: "a registered password is hidden in the log",
    rule: "4",
    edits: [["src/log.ts", `if (value === "") return;`, "return;"]],
    red: [[LOG_TEST, "no password reaches the log file"]],
  },
  {
    guard: "a URL's password is hidden in the log, registered or not",
    rule: "4",
    edits: [["src/log.ts", `:\\S*@/gi, `, `:\\S*@never/gi, `]],
    red: [[LOG_TEST, "a URL whose password nobody registered is hidden too"]],
  },
  {
    guard: "the kill switch is off unless it is asked for",
    rule: "4",
    edits: [
      [KILL_TS, `process.env["PARTWAY_TEST_KILL"];`, `process.env["PARTWAY_TEST_KILL"] ?? "before:2";`],
    ],
    red: [[KILL_TEST, "a process nobody asked to die"]],
  },
  {
    guard: "the backup's data has the manifest's sha256",
    rule: "6",
    edits: [[VERIFY_TS, "if (sha256 !== manifest.sha256)", "if (false)"]],
    red: [[RESTORE_TEST, "a changed byte in the file would go unnoticed"]],
  },
  {
    guard: "the backup's data has the manifest's size",
    rule: "6",
    edits: [[VERIFY_TS, "if (found.size !== manifest.bytes)", "if (false)"]],
    red: [[RESTORE_TEST, "a file cut short would pass for whole"]],
  },
];

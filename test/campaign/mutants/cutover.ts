/** Cutover, lease, window, drift (DESIGN 3.6 to 3.9). */
import type { Mutant } from "./mutant.js";

const LOCKS_TS = "src/pg/locks.ts";
const LOCKED_TS = "src/sync/swap-locked.ts";
const SWAP_TS = "src/sync/swap.ts";
const HOSTILE_SHADOW_TEST = "test/hostile/shadow.test.ts";
const CUTOVER_TS = "src/phases/cutover.ts";
const GUARD_TS = "src/sync/guard.ts";
const PRINT_TS = "src/catalog/fingerprint.ts";

const LOCKS_TEST = "test/pg/locks.test.ts";
const CUTOVER_TEST = "test/phases/cutover.test.ts";
const PRINT_TEST = "test/catalog/fingerprint.test.ts";
const ROLLBACK_TEST = "test/phases/rollback.test.ts";
const GUARDS_TEST = "test/guards/cutover.test.ts";

const IN_FLIGHT = "rows committed while the cutover waited for its lock would be missing from the new table";

export const CUTOVER: readonly Mutant[] = [
  {
    guard: "the last drain happens inside the lock",
    rule: "3.6",
    edits: [[LOCKED_TS, `await applyInside(session, apply, LOCKED_LOG, \`apply_\${swap.direction}\`)`, "0"]],
    red: [
      [CUTOVER_TEST, IN_FLIGHT],
      [ROLLBACK_TEST, "rows committed while the rollback waited for its lock"],
    ],
  },
  {
    guard: "the locks of one try share one bound",
    rule: "3.6",
    edits: [[LOCKS_TS, "if ((at > 0 || holdMs !== null)", "if ((at > 99 || holdMs !== null)"]],
    red: [[LOCKS_TEST, "several locks would each have a timeout of their own"]],
  },
  {
    guard: "with more than the two tables a try ends before the application's deadlock check",
    rule: "3.6",
    edits: [[LOCKS_TS, "strong.length > 2 ?", "strong.length > 99 ?"]],
    red: [[LOCKS_TEST, "several locks would each have a timeout of their own"]],
  },
  {
    guard: "foreign keys are validated by whoever comes next",
    rule: "3.7",
    edits: [
      [
        "src/phases/retain.ts",
        `await finishCarried(context, session, "forward", stored.shadowOid);`,
        "await Promise.resolve();",
      ],
    ],
    red: [["test/phases/carried.test.ts", "would leave a foreign key unchecked"]],
  },
  {
    guard: "no statement that takes a snapshot comes before the locks",
    rule: "3.6",
    edits: [
      [LOCKED_TS, "await session.begin();", `await session.begin();\n  await session.query("SELECT 1");`],
    ],
    red: [[CUTOVER_TEST, "a statement before the locks would fix a snapshot"]],
    note: "Under READ COMMITTED nothing is lost by it yet: the order of the statements is what the test holds.",
  },
  {
    guard: "the cutover is READ COMMITTED: what was committed before the lock is seen behind it",
    rule: "3.6",
    edits: [
      [
        LOCKED_TS,
        "await session.begin();",
        `await session.begin({ isolation: "repeatable read" });\n  await session.query("SELECT 1");`,
      ],
    ],
    red: [[CUTOVER_TEST, IN_FLIGHT]],
  },
  {
    guard: "the lagging side is locked first, the live side last",
    rule: "3.6",
    edits: [
      [LOCKED_TS, `{ table: sides.lagging, mode: "ACCESS EXCLUSIVE" },`, ""],
      [
        LOCKED_TS,
        `{ table: sides.live, mode: "ACCESS EXCLUSIVE" },`,
        `{ table: sides.live, mode: "ACCESS EXCLUSIVE" }, { table: sides.lagging, mode: "ACCESS EXCLUSIVE" },`,
      ],
    ],
    red: [[CUTOVER_TEST, "a statement before the locks would fix a snapshot"]],
  },
  {
    guard: "SHARE UPDATE EXCLUSIVE comes first: it waits for vacuum and stalls nobody",
    rule: "3.6",
    edits: [[LOCKS_TS, "for (; calm.length > 0 &&", "for (; calm.length > 99 &&"]],
    red: [[LOCKS_TEST, "a VACUUM, or an autovacuum that does not yield, would end the run unnamed"]],
  },
  {
    guard: "lock_timeout bounds each try",
    rule: "3.6",
    edits: [[LOCKS_TS, `await setLocal(session, "lock_timeout", timeoutMs);`, ""]],
    red: [[LOCKS_TEST, "a VACUUM that never ends would be waited for without end, and not named"]],
    hangs: "SHARE UPDATE EXCLUSIVE is waited for as long as the vacuum takes; there is no other bound on it",
  },
  {
    guard: "lock_timeout and statement_timeout bound each try for the strong locks",
    rule: "3.6",
    edits: [
      [LOCKS_TS, `await setLocal(session, "lock_timeout", timeoutMs);`, ""],
      [LOCKS_TS, `await setLocal(session, "statement_timeout", statementMs);`, ""],
    ],
    redundantWith: "statement_timeout bounds each try, whatever the number of leaves",
    red: [
      [LOCKS_TEST, "writers would stand behind the waiting lock until the long reader has ended"],
      [LOCKS_TEST, "a long reader would make the run wait for ever"],
    ],
    hangs: "without either the lock is waited for as long as the reader reads",
    note: "For the strong locks the two are as long as each other: either bounds a try of a table without leaves.",
  },
  {
    guard: "statement_timeout bounds each try, whatever the number of leaves",
    rule: "3.6",
    edits: [[LOCKS_TS, `await setLocal(session, "statement_timeout", statementMs);`, ""]],
    red: [[LOCKS_TEST, "a table of many leaves would stall writers for one lock timeout a leaf"]],
  },
  {
    guard: "the lock timeout grows no further than its bound",
    rule: "3.6",
    edits: [[LOCKS_TS, "Math.min(Math.ceil(timeoutMs * 1.25), most)", "Math.ceil(timeoutMs * 1.25)"]],
    red: [[LOCKS_TEST, "the timeout would grow without a bound and writers stall with it"]],
  },
  {
    guard: "the lock timeout grows: a flat one never gets in among long transactions",
    rule: "3.6",
    edits: [[LOCKS_TS, "Math.ceil(timeoutMs * 1.25)", "timeoutMs"]],
    red: [[LOCKS_TEST, "the timeout would grow without a bound and writers stall with it"]],
  },
  {
    guard: "between two tries writers get their turn (a rest with jitter)",
    rule: "3.6",
    edits: [[LOCKS_TS, "await sleep(timeoutMs * (0.5 + Math.random()),", "await sleep(0,"]],
    red: [[GUARDS_TEST, "tries without a rest"]],
  },
  {
    guard: "tries are bounded, then the run waits for the operator",
    rule: "3.6",
    edits: [
      [LOCKS_TS, "const last = attempt + request.tries - 1;", "const last = attempt + request.tries + 99;"],
    ],
    red: [[CUTOVER_TEST, "a long reader would have the run give up for good"]],
  },
  {
    guard: "the timeouts of getting the lock end with it",
    rule: "3.6",
    edits: [[LOCKS_TS, `await setLocal(session, "statement_timeout", 0);`, ""]],
    red: [[LOCKS_TEST, "a statement inside the lock would be cut off by the timeouts meant for getting it"]],
  },
  {
    guard: "drift is looked for inside the lock",
    rule: "3.6",
    edits: [[LOCKED_TS, "const gone = await swap.check();", "const gone = new Set();"]],
    red: [
      [CUTOVER_TEST, "between the last look and the lock would be lost"],
      [CUTOVER_TEST, "a write made while capture was off between the last drain and the lock"],
    ],
  },
  {
    guard: "the hold budget is looked at before COMMIT",
    rule: "3.6",
    edits: [[LOCKED_TS, "if (held > settings.holdBudgetMs) throw", "if (false) throw"]],
    red: [[CUTOVER_TEST, "many short statements would add up to more than the hold budget"]],
  },
  {
    guard: "what is left of the hold budget bounds each statement",
    rule: "3.6",
    edits: [
      [
        LOCKED_TS,
        `localSetting("statement_timeout", Math.ceil(bound.ms))`,
        `localSetting("statement_timeout", 0)`,
      ],
    ],
    red: [[CUTOVER_TEST, "the application would stand still for longer than the hold budget"]],
    hangs: "the statement goes on for a minute while every writer waits",
  },
  {
    guard: "no more than a bounded batch is drained inside the lock",
    rule: "3.6",
    edits: [[LOCKED_TS, "if (drainedKeys === LOCKED_LOG)", "if (false)"]],
    red: [["test/review/lock.test.ts", "a bulk load committed right before the lock would be applied"]],
  },
  {
    guard: "the log is drained before each try of the lock",
    rule: "3.6",
    edits: [["src/pg/locks.ts", "await request.ready?.();", ""]],
    red: [
      [
        CUTOVER_TEST,
        "what is changed while the lock is sought would be applied while everybody waits for it",
      ],
    ],
  },
  {
    guard: "the drain before a try waits for nobody",
    rule: "3.6",
    edits: [[LOCKED_TS, `SET lock_timeout = \${context.settings.lockTimeoutMs}; `, ""]],
    red: [[CUTOVER_TEST, "who waits for the table behind the cutover would wait in a circle"]],
  },
  {
    guard: "the last drain is planned before the lock",
    rule: "3.6",
    edits: [[LOCKED_TS, "await planApply(session, apply);", ""]],
    red: [[CUTOVER_TEST, "the last drain would be planned inside the lock when the log was empty before"]],
  },
  {
    guard: "a TRUNCATE or a new range in the last moment is mended, and tried again",
    rule: "3.6",
    edits: [[LOCKED_TS, "if (drainMends(error) && attempt < HOLD_TRIES) continue;", ""]],
    red: [
      [CUTOVER_TEST, "a TRUNCATE in the last moment would end the run"],
      [CUTOVER_TEST, "a row outside every leaf in the last moment would end the run"],
    ],
  },
  {
    guard: "indexes give their names to the new table's",
    rule: "3.6",
    edits: [
      [SWAP_TS, "index(i.finalName, i.retiredName),", ""],
      [SWAP_TS, "index(i.shadowName, i.finalName),", ""],
    ],
    red: [
      [CUTOVER_TEST, "statements that name an index, a constraint or a sequence would fail after cutover"],
    ],
  },
  {
    guard: "sequences are carried over",
    rule: "3.6",
    edits: [[LOCKED_TS, "const sequences = sequenceSql(plan, swap.direction);", `const sequences = "";`]],
    red: [
      [CUTOVER_TEST, "ids would be handed out a second time after cutover"],
      [ROLLBACK_TEST, "ids would be handed out a second time after a rollback"],
    ],
  },
  {
    guard: "an identity's last value is carried over",
    rule: "3.6",
    edits: [[SWAP_TS, "regclass, last_value, is_called) FROM", "regclass, 1, is_called) FROM"]],
    red: [[CUTOVER_TEST, "ids would be handed out a second time after cutover"]],
  },
  {
    guard: "an identity's is_called is carried over",
    rule: "3.6",
    edits: [[SWAP_TS, "regclass, last_value, is_called) FROM", "regclass, last_value, true) FROM"]],
    red: [[CUTOVER_TEST, "an empty table would lose its first id"]],
  },
  {
    guard: "after cutover each sequence lies beyond the largest key",
    rule: "7.20",
    edits: [[SWAP_TS, "BigInt(row.next) > BigInt(row.largest)", "true"]],
    red: [[CUTOVER_TEST, "a sequence that lagged behind the keys would hand out an id twice"]],
  },
  {
    guard: "a sequence is drawn forward, never set back",
    rule: "7.20",
    edits: [[SWAP_TS, "if (draws <= DRAWN)", "if (false)"]],
    red: [
      ["test/review/sequences.test.ts", "a sequence would be set back while the application draws from it"],
    ],
  },
  {
    guard: "the forward log is looked at once more after cutover",
    rule: "3.6",
    edits: [[CUTOVER_TS, "late === 0 ? null", "late >= 0 ? null"]],
    red: [[CUTOVER_TEST, "somebody who writes to the old table by its new name would not be noticed"]],
  },
  {
    guard: "the new table is whole since validation",
    rule: "3.9",
    edits: [[CUTOVER_TS, "if (validated !== null) assertShadowWhole(validated, now.live);", ""]],
    red: [[HOSTILE_SHADOW_TEST, "between validation and cutover would go live missing"]],
  },
  {
    guard: "nobody wrote to the new table since validation",
    rule: "3.9",
    edits: [[CUTOVER_TS, "() => assertShadowUnwritten(session, plan)", "() => Promise.resolve()"]],
    red: [[HOSTILE_SHADOW_TEST, "by the new table's name between validation and the lock would go live"]],
  },
  {
    guard: "nothing is cut over that was not validated",
    rule: "3.6",
    edits: [[CUTOVER_TS, "if (!stored.validated) {", "if (false) {"]],
    red: [[CUTOVER_TEST, "a cutover that nothing proves would be allowed"]],
  },
  {
    guard: "a source rewritten since validation is validated again",
    rule: "3.6",
    edits: [[GUARD_TS, "if ((await filenodeOf(session, oid)) !== filenode) throw new Rewritten();", ""]],
    red: [["test/review/rewritten.test.ts", "a rewrite that changes values under the same definition"]],
  },
  {
    guard: "the definitions the window is judged by are those of the cutover itself",
    rule: "3.8",
    edits: [[CUTOVER_TS, "params[2] = JSON.stringify(", "void JSON.stringify("]],
    red: [["test/review/ends.test.ts", "a column added before the window was first looked at"]],
  },
  {
    guard: "the fingerprint is compared at all",
    rule: "3.9",
    edits: [[GUARD_TS, "if (differences.length === 0) return;", "return;"]],
    red: [[CUTOVER_TEST, "ADD COLUMN … would be lost, or break the new table"]],
  },
  {
    guard: "the table under the name is the one that was planned",
    rule: "3.9",
    edits: [[GUARD_TS, "if (found === plan.source.oid) return;", "return;"]],
    red: [[CUTOVER_TEST, "a table that was … would be taken for the one that was planned"]],
  },
  {
    guard: "a trigger's xmin is in the fingerprint (DISABLE then ENABLE)",
    rule: "3.9",
    edits: [[PRINT_TS, "ELSE 'enabled' END, t.xmin)", "ELSE 'enabled' END, '')"]],
    red: [[PRINT_TEST, "a trigger switched off and on again would go unnoticed"]],
  },
  {
    guard: "a policy's xmin is in the fingerprint",
    rule: "3.9",
    edits: [[PRINT_TS, "p.polname, p.xmin) FROM", "p.polname, '') FROM"]],
    red: [
      [PRINT_TEST, "changed during the run would go unnoticed"],
      [PRINT_TEST, "during the run would go unnoticed"],
    ],
  },
  {
    guard: "a column's number is in the fingerprint (dropped and made again)",
    rule: "3.9",
    edits: [[PRINT_TS, "'column', a.attnum, quote_ident", "'column', quote_ident"]],
    red: [[PRINT_TEST, "changed during the run would go unnoticed"]],
  },
  {
    guard: "leaves are in the fingerprint",
    rule: "3.9",
    edits: [[PRINT_TS, "AND c.oid <> $1::oid\n", "AND false\n"]],
    red: [[PRINT_TEST, "a leaf attached, detached or moved would go unnoticed during the retention window"]],
  },
];

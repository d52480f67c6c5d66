/** Capture from the write-ahead log (ARCHITECTURE, of that name). */
import type { Mutant } from "./mutant.js";

const FILL_TS = "src/wal/fill.ts";
const SLOT_TS = "src/wal/slot.ts";
const TEST = "test/wal/capture.test.ts";
const UNSEEN = "a commit that no snapshot sees yet would be applied as the row was";
const LAST = "what a writer without synchronous_commit wrote last before the lock would stay behind";
const UNREAD = "a change that was not read yet when the sides are compared";
const LARGE =
  "after a large transaction whose slot was not moved, every reading would end before what is new";
const TWO = "two readers of the same run would move the slot back";
const LOST = "lost, a change would never come: the copy begins again";

const wal = (guard: string, file: string, find: string, put: string, test: string): Mutant => ({
  guard: `wal: ${guard}`,
  rule: "3.1",
  edits: [[file, find, put]],
  red: [[TEST, test]],
});

export const WAL: readonly Mutant[] = [
  wal(
    "no commit is in the log before snapshots see it",
    FILL_TS,
    "if (allVisible(snapshot, xids)) return;",
    "return;",
    UNSEEN,
  ),
  wal(
    "a slot lets go of WAL where nobody writes any more",
    FILL_TS,
    "(await keepsMuch(session, plan, flushed))",
    "false",
    "where nobody writes any more the slot would keep its WAL",
  ),
  wal(
    "a reading beside the cutover's lock has an end",
    FILL_TS,
    "AbortSignal.any([context.signal, until])",
    "AbortSignal.any([context.signal])",
    UNSEEN,
  ),
  {
    guard: "wal: what is read again is left out",
    rule: "3.1",
    edits: [
      ["src/wal/changes.ts", "isNew: message.lsn >= this.#after", "isNew: true"],
      [
        FILL_TS,
        "    const from = await atPosition(session, plan);\n    const flushed",
        "    const from = lsnOf((await session.one(Lsn, SQL.position(walNames(plan).position))).lsn);\n    const flushed",
      ],
    ],
    redundantWith: "wal: a slot that was left behind is moved before it is read",
    red: [["test/wal/capture.test.ts", "killed between the log's COMMIT and the slot's move"]],
    note: "A slot that stands where the note does sends nothing again.",
  },
  wal(
    "a slot that was left behind is moved before it is read",
    FILL_TS,
    "    const from = await atPosition(session, plan);\n    const flushed",
    "    const from = lsnOf((await session.one(Lsn, SQL.position(walNames(plan).position))).lsn);\n    const flushed",
    LARGE,
  ),
  wal(
    "the same in the lock",
    FILL_TS,
    "  const from = await atPosition(session, plan);\n  const found",
    "  const from = lsnOf((await session.one(Lsn, SQL.position(walNames(plan).position))).lsn);\n  const found",
    LARGE,
  ),
  wal(
    "the slot is moved under the lock of the note",
    FILL_TS,
    "() => lease.tx(session, () => atPosition(session, plan)), 0);",
    '() => (lease.epoch === "" ? lease.tx(session, () => atPosition(session, plan)) : atPosition(session, plan)), 0);',
    TWO,
  ),
  wal(
    "who was writing when the slot was made is waited for, also by a resume",
    "src/wal/install.ts",
    "  await untilSeen(context, session);\n}",
    "}",
    "killed before whoever was writing had ended",
  ),
  {
    ...wal(
      "a pause ends when nobody reads any more",
      "src/wal/alongside.ts",
      "await one(workedMs, endOf(until));",
      "await one(workedMs, failed.signal.aborted ? endOf(until) : until);",
      "a reader that dies while the run is paused",
    ),
    hangs: "the run stays paused, and nothing else ends it",
  },
  wal(
    "another database's slot is not taken for one that was lost",
    SLOT_TS,
    "if (found !== null && !found.ours) throw foreign(plan, found);\n  if (found === null ||",
    'if (found !== null && slot === "") throw foreign(plan, found);\n  if (found === null || !found.ours ||',
    "a slot of that name in another database",
  ),
  wal(
    "a comparison leaves out what was read after its snapshot",
    "src/phases/validate.ts",
    "      late: lateLog(context, direction),\n      // No",
    "      // No",
    UNREAD,
  ),
  wal(
    "what is not read yet is not counted as a difference",
    "src/phases/validate.ts",
    '  if (direction === "forward" && readsWal(context.plan)) await fillToNow(session, context);\n',
    "",
    "a change that was not read yet when a difference is mended",
  ),
  wal(
    "a key alone is left out of a comparison by key",
    "src/sync/pairs.ts",
    `direction === "forward" && isKeyed(plan) ? keyEquals : pairEquals`,
    "pairEquals",
    UNREAD,
  ),
  wal(
    "commits not on disk yet are brought there in the lock",
    FILL_TS,
    "  await flush(observer, plan);\n",
    "",
    UNSEEN,
  ),
  wal(
    "what is not read yet is read in the lock",
    FILL_TS,
    "upTo, limit);\n  return found",
    "from.toString() === upTo ? upTo : lsnText(from), limit);\n  return found",
    LAST,
  ),
  wal(
    "a row whose partition key was not told is looked for by key",
    "src/sync/apply.ts",
    "if (sql.gone !== undefined) await session.query(sql.gone, [ids],",
    'if (sql.gone === "") await session.query(sql.gone, [ids],',
    LAST,
  ),
  wal(
    "a TRUNCATE from before the copy does not begin it again",
    "src/phases/copy.ts",
    "    await forgetTruncates(context, session);\n",
    "",
    "a TRUNCATE while a copy runs would leave rows",
  ),
  wal("a slot that somebody else has read is lost", SLOT_TS, "if (!at.followed)", 'if (at.lsn === "")', LOST),
  wal(
    "a publication that was altered is one",
    SLOT_TS,
    "if (mark?.mark !== at.publication)",
    "if (mark === null)",
    LOST,
  ),
  wal(
    "a log with a gap behind it is emptied",
    "src/wal/install.ts",
    "    await session.query(`DELETE FROM",
    '    if (plan.id === "") await session.query(`DELETE FROM',
    LOST,
  ),
];

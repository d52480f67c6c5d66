/** Apply and validate (DESIGN 3.4, 3.5). */
import type { Mutant } from "./mutant.js";

const APPLY_TS = "src/sync/apply.ts";
const COMPARE_TS = "src/sync/compare.ts";
const VALIDATE_TS = "src/phases/validate.ts";
const REVERSE_TS = "src/sync/reverse.ts";

const APPLY_TEST = "test/sync/apply.test.ts";
const REVERSE_TEST = "test/sync/reverse.test.ts";
const VALIDATE_TEST = "test/phases/validate.test.ts";
const PLANNER_TEST = "test/sync/planner.test.ts";
const GUARDS_TEST = "test/guards/snapshots.test.ts";

const SNAPSHOT = `{ isolation: "repeatable read", lock:`;
const KEY_ONLY = (a: string, b: string) =>
  `\${plan.key.map((c) => \`${a}.\${ident(c.name)} = ${b}.\${ident(c.name)}\`).join(" AND ")}`;

export const APPLY: readonly Mutant[] = [
  {
    guard: "a throttle owes no rest on the last stretch of a drain",
    rule: "3.4",
    edits: [
      [
        "src/sync/drain.ts",
        "workedMs = applied < APPLY_BATCH ? 0 : performance.now() - from;",
        "workedMs = performance.now() - from;",
      ],
    ],
    red: [[APPLY_TEST, "a throttled run would never come to the end of its log"]],
  },
  {
    guard: "nothing pauses while a comparison's snapshot is open",
    rule: "3.5",
    edits: [
      [
        VALIDATE_TS,
        "gate: async () => {\n        context.signal.throwIfAborted();\n        sound();\n      },",
        "gate: context.gate,",
      ],
    ],
    red: [[VALIDATE_TEST, "a pause during the comparison would keep its snapshot open"]],
  },
  {
    guard: "an apply reads everything on one snapshot",
    rule: "3.4",
    edits: [[APPLY_TS, SNAPSHOT, "{ lock:"]],
    red: [
      [APPLY_TEST, "a row moved while it is applied would be in neither place"],
      [APPLY_TEST, "half of a transaction would be applied"],
    ],
  },
  {
    guard: "an apply forgets exactly the log rows it has applied, by their ids",
    rule: "3.4",
    edits: [
      [
        APPLY_TS,
        "await session.query(sql.forget, [ids],",
        "await session.query(sql.forget.replace('= ANY ($1::uuid[])', '<= (SELECT x FROM unnest($1::uuid[]) AS x ORDER BY x DESC LIMIT 1)'), [ids],",
      ],
      [APPLY_TS, SNAPSHOT, "{ lock:"],
    ],
    redundantWith: "an apply reads everything on one snapshot",
    red: [[APPLY_TEST, "a log row that commits between picking and forgetting would be forgotten unapplied"]],
    note: "On the apply's own snapshot the range up to the highest id holds the picked rows and no others (test/model/README.md).",
  },
  {
    guard: "an apply takes the oldest log rows first",
    rule: "3.4",
    edits: [[APPLY_TS, "ORDER BY l.partway_seq LIMIT", "ORDER BY l.partway_seq DESC LIMIT"]],
    red: [[APPLY_TEST, "log rows beyond the batch would be forgotten unapplied"]],
  },
  {
    guard: "both sides are locked before an apply's snapshot",
    rule: "3.4",
    edits: [
      [
        APPLY_TS,
        `{ isolation: "repeatable read", lock: applyLock(sides) }`,
        `{ isolation: "repeatable read" }`,
      ],
    ],
    red: [
      ["test/review/apply.test.ts", "rows would vanish from the retired table when the new one is rewritten"],
      ["test/model/leaf-rewrite.test.ts", "a row of a leaf that is rewritten during a reverse apply"],
    ],
  },
  {
    guard: "every leaf is locked before an apply's snapshot, not the parent alone",
    rule: "3.4",
    edits: [[APPLY_TS, `return \`LOCK TABLE \${live},`, `return \`LOCK TABLE ONLY \${live},`]],
    red: [["test/model/leaf-rewrite.test.ts", "a row of a leaf that is rewritten during a reverse apply"]],
  },
  {
    guard: "the lagging side is locked before an apply's snapshot too",
    rule: "3.4",
    edits: [[APPLY_TS, `return \`LOCK TABLE \${live}, \${lagging} IN`, `return \`LOCK TABLE \${live} IN`]],
    red: [
      ["test/model/leaf-rewrite.test.ts", "a deleted row does not stay in a retired table that is rewritten"],
    ],
  },
  {
    guard: "dirty pairs are deleted before the live rows are inserted",
    rule: "3.4",
    edits: [[APPLY_TS, `await session.query(sql.remove, [ids], \`\${tag}_remove\`);`, ""]],
    // What an insert would collide with is mended by the ladder: a delete shows it.
    red: [[APPLY_TEST, "lost or stale in the new table would be … many rows deleted"]],
  },
  {
    guard: "the whole pair is deleted, not every row of the key (pair-wise in reverse)",
    rule: "3.4",
    edits: [[APPLY_TS, `AS d WHERE \${pairEquals(plan, "t", "d")}`, `AS d WHERE ${KEY_ONLY("t", "d")}`]],
    red: [
      [REVERSE_TEST, "one duplicate id would stop the way back for every other row"],
      [REVERSE_TEST, "a row moved by delete and insert would be taken for a duplicate"],
    ],
  },
  {
    guard: "live rows are read by the whole pair (pair-wise insert)",
    rule: "3.4",
    edits: [
      [
        APPLY_TS,
        `(sides.direction === "forward" ? pairMatchesLive : pairEquals)(plan, "s", "d")`,
        `\`${KEY_ONLY("s", "d")}\``,
      ],
    ],
    red: [[APPLY_TEST, "lost or stale in the new table would be … a row moved to another leaf"]],
  },
  {
    guard: "the pair in the delete prunes leaves",
    rule: "3.4",
    edits: [[APPLY_TS, `AS d WHERE \${pairEquals(plan, "t", "d")}`, `AS d WHERE ${KEY_ONLY("t", "d")}`]],
    red: [[PLANNER_TEST, "applying would read every leaf for every batch: the delete"]],
  },
  {
    guard: "backwards the pair is matched by =, which prunes the new table's leaves",
    rule: "3.4",
    edits: [[APPLY_TS, `sides.direction === "forward" ? pairMatchesLive : pairEquals`, "pairMatchesLive"]],
    red: [[PLANNER_TEST, "the insert … , partition column nullable at the source"]],
  },
  {
    guard: "the planner is told to use the nested loop",
    rule: "3.4",
    edits: [
      [APPLY_TS, `"SET LOCAL enable_hashjoin = off",`, ""],
      [APPLY_TS, `"SET LOCAL enable_mergejoin = off",`, ""],
      [APPLY_TS, `"SET LOCAL enable_seqscan = off",`, ""],
    ],
    red: [
      [PLANNER_TEST, "applying would read every leaf for every batch: the delete"],
      [PLANNER_TEST, "following backwards would read every leaf for every batch: the insert"],
    ],
  },
  {
    guard: "on 23505 the whole log goes in on one snapshot (exchanged unique values)",
    rule: "3.4",
    edits: [
      [APPLY_TS, "return await applyOnce(session, whole);", "return await applyOnce(session, options);"],
    ],
    red: [[APPLY_TEST, "unique values exchanged by two rows would stop the catching up"]],
  },
  {
    guard: "in reverse, keys that stand twice are left out and the rest goes on",
    rule: "3.4",
    edits: [[APPLY_TS, "return applyOnce(session, whole, true);", "return applyOnce(session, whole);"]],
    red: [[REVERSE_TEST, "one duplicate id would stop the way back for every other row"]],
  },
  {
    guard: "a marker among the picked rows rebuilds the lagging side",
    rule: "3.4",
    edits: [[APPLY_TS, `if (picked.some((row) => row.op === "t"))`, "if (false)"]],
    red: [[APPLY_TEST, "a TRUNCATE among the changes would be applied in a guessed order"]],
  },
  {
    guard: "a marker is looked for when the whole log is applied",
    rule: "3.4",
    edits: [[APPLY_TS, "if ((await session.query(sql.marker)).rows.length > 0)", "if (false)"]],
    red: [["test/guards/apply.test.ts", "a TRUNCATE behind a unique conflict"]],
  },
  {
    guard: "a serialization failure of an apply is tried again",
    rule: "3.4",
    edits: [["src/sync/drain.ts", "if (!passes(error) || attempt >= 10) throw error;", "throw error;"]],
    red: [[APPLY_TEST, "two appliers at once would double a row or stop each other for good"]],
  },
  {
    guard: "the rebuilding of the retired table reads rows and log on one snapshot",
    rule: "3.8",
    edits: [[REVERSE_TS, `isolation: "repeatable read",`, ""]],
    red: [[REVERSE_TEST, "changes committed while the retired table is rebuilt would be forgotten"]],
  },
  {
    guard: "the new table is locked before the rebuilding's snapshot",
    rule: "3.8",
    edits: [[REVERSE_TS, `lock: \`LOCK TABLE \${live} IN ACCESS SHARE MODE\`,`, ""]],
    red: [[GUARDS_TEST, "a rewrite of the new table while the retired one is rebuilt"]],
  },
  {
    guard: "validation hashes, it does not only count",
    rule: "3.5",
    edits: [[COMPARE_TS, " && plainSum.hash === partitionedSum.hash", ""]],
    red: [[VALIDATE_TEST, "a stale row would go live because the counts match"]],
  },
  {
    guard: "hashes are added, not xor-ed: equal duplicates do not cancel",
    rule: "3.5",
    edits: [[COMPARE_TS, `coalesce(sum(\${rowHash`, `coalesce(bit_xor(\${rowHash`]],
    red: [[VALIDATE_TEST, "two equal rows too many would cancel each other out of the hash"]],
  },
  {
    guard: "values are identical, not merely equal (1.0 is not 1.00)",
    rule: "3.5",
    edits: [
      [
        "src/sync/rowhash.ts",
        "if (column.equalIsIdentical && column.hasHash && builtIn)",
        "if (column.hasHash && builtIn)",
      ],
    ],
    red: [[VALIDATE_TEST, "would go live as … because the two are equal"]],
  },
  {
    guard: "pairs in the change log are left out of the comparison",
    rule: "3.5",
    edits: [[COMPARE_TS, 'isLogEmpty ? "" : ` AND', 'true ? "" : ` AND']],
    red: [[VALIDATE_TEST, "writers that never pause would make validation report differences that are none"]],
  },
  {
    guard: "all workers of a comparison share one snapshot",
    rule: "3.5",
    edits: [[COMPARE_TS, `await session.query(\`SET TRANSACTION SNAPSHOT \${literal(name)}\`);`, ""]],
    red: [[GUARDS_TEST, "two workers that see different moments"]],
  },
  {
    guard: "tables are locked before the comparison's snapshot",
    rule: "3.5",
    edits: [
      [
        COMPARE_TS,
        `await first.query(\`LOCK TABLE`,
        `await first.query("SELECT 1");\n    await first.query(\`LOCK TABLE`,
      ],
    ],
    red: [[VALIDATE_TEST, "would see an empty table and call it loss"]],
  },
  {
    guard: "a truncation that is not yet followed is no difference",
    rule: "3.5",
    edits: [[COMPARE_TS, "if (excluded.markers > 0)", "if (false)"]],
    red: [[VALIDATE_TEST, "a snapshot older than … would see an empty table and call it loss"]],
  },
  {
    guard: "drift is looked for before validation",
    rule: "3.9",
    edits: [[VALIDATE_TS, "await assertNoDrift(session, plan, plan.source.oid, plan.fingerprint);", ""]],
    red: [
      [VALIDATE_TEST, "a definition changed since the plan would be validated as if nothing had happened"],
    ],
  },
  {
    guard: "a difference is repaired only when asked for",
    rule: "3.5",
    edits: [[VALIDATE_TS, "context.settings.repair && round <= 3", "round <= 3"]],
    red: [[VALIDATE_TEST, "a stale row would go live because the counts match"]],
  },
  {
    guard: "the file that counts as validated is the one from before the comparison",
    rule: "3.5",
    edits: [[VALIDATE_TS, "[plan.id, filenode]", "[plan.id, await filenodeOf(session, plan.source.oid)]"]],
    red: [[GUARDS_TEST, "a rewrite right after the comparison"]],
  },
];

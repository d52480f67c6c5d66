/** Capture, copy, dedupe, indexes (DESIGN 3.1 to 3.3). */
import type { Mutant } from "./mutant.js";

const CAPTURE_TS = "src/sync/capture.ts";
const COPY_TS = "src/phases/copy.ts";
const INDEX_TS = "src/phases/index-build.ts";
const OUTSIDE_TS = "src/sync/outside.ts";
const RETAIN_TS = "src/phases/retain.ts";
const FALLBACK_TS = "src/plan/fallback.ts";
const PAIRS_TS = "src/sync/pairs.ts";

const CAPTURE_TEST = "test/sync/capture.test.ts";
const COPY_TEST = "test/phases/copy.test.ts";
const INDEX_TEST = "test/phases/index.test.ts";
const OUTSIDE_TEST = "test/sync/outside.test.ts";
const FALLBACK_TEST = "test/migrations/fallback.test.ts";
const RETAIN_TEST = "test/phases/retain.test.ts";
const KEYS_TEST = "test/sync/keys.test.ts";
const GUARDS_TEST = "test/guards/capture.test.ts";

export const CAPTURE: readonly Mutant[] = [
  {
    guard: "the OLD pair of a change is logged",
    rule: "3.1",
    edits: [
      [
        CAPTURE_TS,
        "IF TG_OP <> 'INSERT' THEN",
        `IF TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND ROW(\${new_}) IS NOT DISTINCT FROM ROW(\${old})) THEN`,
      ],
    ],
    red: [[CAPTURE_TEST, "a changed key would leave the row under its old key as well"]],
  },
  {
    guard: "the NEW pair of a change is logged where it differs",
    rule: "3.1",
    edits: [[CAPTURE_TS, "(TG_OP = 'UPDATE' AND ROW", "(false AND ROW"]],
    red: [[CAPTURE_TEST, "a row that changes key and month at once"]],
  },
  {
    guard: "the row trigger is ENABLE ALWAYS",
    rule: "3.1",
    edits: [
      [CAPTURE_TS, `ENABLE ALWAYS TRIGGER \${row}`, `ENABLE TRIGGER \${row}`],
      [CAPTURE_TS, "t.tgenabled = 'A' AND EXISTS", "EXISTS"],
    ],
    red: [[CAPTURE_TEST, "a subscription's writes would be lost"]],
    note: "The look that all triggers are ALWAYS goes too, or the run stops for it before anything is lost.",
  },
  {
    guard: "the TRUNCATE trigger is ENABLE ALWAYS",
    rule: "3.1",
    edits: [
      [CAPTURE_TS, `ENABLE ALWAYS TRIGGER \${name}`, `ENABLE TRIGGER \${name}`],
      [CAPTURE_TS, "t.tgenabled = 'A' AND EXISTS", "EXISTS"],
    ],
    red: [[CAPTURE_TEST, "a subscription's writes would be lost"]],
  },
  {
    guard: "the trigger function is SECURITY DEFINER",
    rule: "3.1",
    edits: [[CAPTURE_TS, "SECURITY DEFINER SET", "SECURITY INVOKER SET"]],
    red: [[CAPTURE_TEST, "an application without rights on schema partway could no longer write"]],
  },
  {
    guard: "the trigger function has its search_path pinned",
    rule: "3.1",
    edits: [[CAPTURE_TS, " SET search_path = pg_catalog, pg_temp AS", " AS"]],
    red: [[CAPTURE_TEST, "an application's own operators could hide a key change"]],
  },
  {
    guard: "the triggers skip Partway's own transactions (echo)",
    rule: "3.1",
    edits: [[CAPTURE_TS, "WHEN (pg_catalog.current_setting(", "WHEN (true OR pg_catalog.current_setting("]],
    red: [
      [CAPTURE_TEST, "Partway's own applying would be logged for the way back"],
      [CAPTURE_TEST, "Partway's rebuilding of the retired table"],
    ],
  },
  {
    guard: "the echo guard compares with this migration's nonce: '' after a SET LOCAL is not Partway",
    rule: "3.1",
    edits: [[CAPTURE_TS, `IS DISTINCT FROM \${literal(plan.nonce)})`, "IS NULL)"]],
    red: [
      [CAPTURE_TEST, "the first statement after Partway's own transaction on a pooled connection"],
      [CAPTURE_TEST, "the writes of another migration's applier would be lost"],
    ],
  },
  {
    guard: "apply marks its own transactions",
    rule: "3.1",
    edits: [["src/sync/apply.ts", `${"$"}{markSql(plan)}; `, ""]],
    red: [[CAPTURE_TEST, "Partway's own applying would be logged for the way back"]],
  },
  {
    guard: "TRUNCATE writes a marker",
    rule: "3.1",
    edits: [[CAPTURE_TS, `INSERT INTO \${log} (partway_op) VALUES ('t');`, "NULL;"]],
    red: [[CAPTURE_TEST, "TRUNCATE of the source would leave its rows in the new table"]],
  },
  {
    guard: "every leaf has a TRUNCATE trigger of its own",
    rule: "3.1",
    edits: [[INDEX_TS, "...leaves.flatMap((leaf) => leafTriggerDdl(plan, leaf.table)),", ""]],
    red: [[CAPTURE_TEST, "TRUNCATE of the new table, or of one leaf"]],
  },
  {
    guard: "a leaf made late gets its TRUNCATE trigger",
    rule: "3.1",
    edits: [
      [OUTSIDE_TS, `if (await captureStands(session, plan, "reverse", stored.shadowOid)) {`, "if (false) {"],
    ],
    red: [[OUTSIDE_TEST, "a row beyond the last leaf would stop the catching up"]],
  },
  {
    guard: "a leaf attached in the window gets its TRUNCATE trigger",
    rule: "3.1",
    edits: [
      [
        RETAIN_TS,
        "for (const statement of leafTriggerDdl(plan, leaf.table)) await session.query(statement.sql);",
        "",
      ],
    ],
    red: [
      [RETAIN_TEST, "a leaf that the create-ahead job attaches during the window would end the way back"],
    ],
  },
  {
    guard: "rows of a leaf attached full are logged",
    rule: "3.8",
    edits: [[RETAIN_TS, "await logRows(context, session, leaf);", ""]],
    red: [["test/review/window.test.ts", "rows in a leaf that is attached full"]],
  },
  {
    guard: "a leaf truncated before its TRUNCATE was captured counts as truncated",
    rule: "3.8",
    edits: [[RETAIN_TS, "if ((await filenodeOf(session, leaf.oid)) !== leaf.oid)", "if (false)"]],
    red: [["test/review/window.test.ts", "a leaf truncated before its TRUNCATE was captured"]],
  },
  {
    guard: "triggers that were off and on again are told by their xmin (NEVER_OFF)",
    rule: "3.1",
    edits: [[CAPTURE_TS, "AND d.xmin = t.xmin)", ")"]],
    red: [
      [
        "test/phases/cutover.test.ts",
        "a write made while the capture triggers were switched off … exactly as it was",
      ],
      ["test/review/missed.test.ts", "put back"],
    ],
  },
  {
    guard: "the change log has the source's collation: its DISTINCT is the join's",
    rule: "3.4",
    edits: [[CAPTURE_TS, `collation === null ? "" : \` COLLATE \${collation}\``, `""`]],
    red: [[KEYS_TEST, "keys that differ only in case, under a collation that calls them equal"]],
  },
  {
    guard: "capture is committed before the table's size is read",
    rule: "3.1",
    edits: [
      [COPY_TS, "    await installCapture(context, session);\n    await forget", "    await forget"],
      [COPY_TS, "  const done = await", "  await installCapture(context, session);\n  const done = await"],
    ],
    red: [[COPY_TEST, "rows written just before capture stands would lie beyond the end of the copy"]],
  },
  {
    guard: "capture is committed before the first batch",
    rule: "3.1",
    edits: [
      [COPY_TS, "    await installCapture(context, session);\n    await forget", "    await forget"],
      [COPY_TS, "progress.finish();", "progress.finish();\n  await installCapture(context, session);"],
    ],
    red: [[COPY_TEST, "what is written while the first batch begins would be lost"]],
  },
  {
    guard: "the capture triggers are looked for when the copy goes on",
    rule: "3.1",
    edits: [[COPY_TS, "    await assertCaptured(session, plan);\n  } else {", "  } else {"]],
    red: [[COPY_TEST, "capture … while the run is stopped would lose every write meanwhile"]],
  },
  {
    guard: "capture is not made anew beside what is copied",
    rule: "3.1",
    edits: [
      [
        COPY_TS,
        "  } else {\n    await installCapture(context, session);\n",
        "  }\n  await installCapture(context, session);\n  if (stored.blocks === null) {\n",
      ],
    ],
    red: [
      [COPY_TEST, "capture dropped right after it was looked for would be made anew"],
      ["test/wal/capture.test.ts", "a slot dropped right after it was looked for would be made anew"],
    ],
  },
  {
    guard: "the capture triggers are looked for before indexes are built",
    rule: "3.1",
    edits: [[INDEX_TS, "await assertCaptured(session, plan);", ""]],
    red: [[GUARDS_TEST, "capture that was off would be noticed only after every index was built"]],
    note: "The catching up at the end of the phase looks again, so nothing is lost without it; hours are.",
  },
  {
    guard: "the ledger row is written in the batch's transaction",
    rule: "3.2",
    edits: [
      [
        COPY_TS,
        "const { overlaps } = await",
        "await session.commit();\n    await session.begin();\n    const { overlaps } = await",
      ],
    ],
    red: [[COPY_TEST, "a process that dies between rows and ledger would leave the rows"]],
  },
  {
    guard: "the ledger's primary key is the batch",
    rule: "3.2",
    edits: [["src/sync/store.ts", "PRIMARY KEY (migration, generation, batch))", "CHECK (true))"]],
    red: [[COPY_TEST, "a batch copied by two processes would stand twice"]],
  },
  {
    guard: "the unit of a generation is the database's",
    rule: "3.2",
    edits: [
      [COPY_TS, "stored.batchBlocks ?? unitFor(settings.batchBlocks)", "unitFor(settings.batchBlocks)"],
    ],
    red: [[COPY_TEST, "another --batch-blocks on resume would shift the ranges"]],
  },
  {
    guard: "a batch of any size shares no block with one that is committed",
    rule: "3.2",
    edits: [[COPY_TS, `if (overlaps === "true") throw copiedTwice(batch);`, ""]],
    red: [[COPY_TEST, "a longer batch over blocks that another process has copied would put them in twice"]],
  },
  {
    guard: "what is left is the gaps of the ledger, not what lies behind its last row",
    rule: "3.2",
    edits: [["src/phases/copy-ranges.ts", "if (from > at) gaps.push({ from: at, to: from });", ""]],
    red: [[COPY_TEST, "a resume with another size would leave out what a worker that failed had begun"]],
  },
  {
    guard: "the filenode is read again in every batch",
    rule: "3.2",
    edits: [[COPY_TS, "if (filenode !== stored.filenode) throw new SourceRewritten();", ""]],
    red: [
      [COPY_TEST, "VACUUM FULL … between two batches would move rows past the copy"],
      [COPY_TEST, "a rewrite while the run is stopped would move rows past the copy"],
    ],
  },
  {
    guard: "size and filenode are read under a lock: no rewrite in between",
    rule: "3.2",
    edits: [[COPY_TS, "measure, { lock: measureLock(live) });", "measure);"]],
    red: [[COPY_TEST, "a table rewritten between its size and its filenode would be copied short"]],
  },
  {
    guard: "a batch begins at its own first block",
    rule: "3.2",
    edits: [[COPY_TS, `ctid >= '(\${fromBlock},0)'`, `ctid > '(\${fromBlock},1)'`]],
    red: [[COPY_TEST, "two workers would copy a batch twice or none"]],
  },
  {
    guard: "a batch ends before the next one's first block",
    rule: "3.2",
    edits: [[COPY_TS, `ctid < '(\${toBlock},0)'`, `ctid < '(\${toBlock},2)'`]],
    red: [[COPY_TEST, "two workers would copy a batch twice or none"]],
  },
  {
    guard: "a marker in the log after the last batch starts the copy again",
    rule: "3.4",
    edits: [
      [COPY_TS, `if (yes === "true") await restartCopy(session, context, "the source was truncated");`, ""],
    ],
    red: [[GUARDS_TEST, "a TRUNCATE during the copy would be noticed only after every index was built"]],
    note: "The catching up after the index builds sees the marker too.",
  },
  {
    guard: "generated columns are not written, but computed again",
    rule: "3.2",
    edits: [
      ["src/plan/index.ts", "table.columns.filter((c) => c.generated === null).map", "table.columns.map"],
    ],
    red: [["test/plan/plan.unit.test.ts", "generated columns are not written"]],
  },
  {
    guard: "identity values are carried (OVERRIDING SYSTEM VALUE)",
    rule: "3.2",
    edits: [[PAIRS_TS, `plan.hasIdentity ? "OVERRIDING SYSTEM VALUE " : ""`, `""`]],
    red: [[KEYS_TEST, "an enum to cut by, an always-identity key, a generated column"]],
  },
  {
    guard: "a row outside every leaf gets its leaf",
    rule: "3.4",
    edits: [[OUTSIDE_TS, "(await createMissingLeaves(session, context, rows)) > 0", "false"]],
    red: [[OUTSIDE_TEST, "a row beyond the last leaf would stop the copy"]],
  },
  {
    guard: "until cutover DEFAULT refuses what a leaf could hold",
    rule: "3.4",
    edits: [[FALLBACK_TS, "if (taken === null) return [];", `if (taken !== "") return [];`]],
    red: [[FALLBACK_TEST, "a late row whose leaf can be made would be hidden in DEFAULT"]],
  },
  {
    guard: "the cutover opens DEFAULT",
    rule: "3.6",
    edits: [[FALLBACK_TS, "leaf === null || takenSql(plan) === null", "leaf !== undefined"]],
    red: [[FALLBACK_TEST, "by time: rows at infinity, rows that go there and come from there"]],
  },
  {
    guard: "beside DEFAULT a late NULL is a row that no leaf holds",
    rule: "3.4",
    edits: [[OUTSIDE_TS, "s.partway_value IS NULL OR ", ""]],
    red: [[FALLBACK_TEST, "a NULL that arrives late would be taken for a row that DEFAULT holds"]],
  },
  {
    guard: "two workers that make a leaf do it one after the other",
    rule: "3.4",
    edits: [
      [OUTSIDE_TS, `LOCK TABLE \${shadow} IN ACCESS EXCLUSIVE`, `LOCK TABLE \${shadow} IN ACCESS SHARE`],
    ],
    red: [[OUTSIDE_TEST, "two workers that meet the same late value would end the run for one of them"]],
  },
  {
    guard: "a row without a partition value stops the run instead of being left out",
    rule: "3.4",
    edits: [[PAIRS_TS, `nullable.has(c.name) ? "IS NOT DISTINCT FROM" : "="`, `"="`]],
    red: [[OUTSIDE_TEST, "a row whose partition value becomes NULL would be lost by the catching up"]],
  },
  {
    guard: "pairs that may stand twice are taken out before unique indexes (dedupe)",
    rule: "3.3",
    edits: [[INDEX_TS, "await dedupe(beside, sessions, leaves, progress);", ""]],
    red: [[INDEX_TEST, "a row copied twice would stop the unique indexes"]],
  },
  {
    guard: "dedupe touches only leaves that have logged pairs",
    rule: "3.3",
    edits: [[INDEX_TS, "if (some.rows.length > 0) {", "{"]],
    red: [[INDEX_TEST, "dedupe would read leaves that hold no changed row"]],
  },
  {
    guard: "an invalid index found on resume is dropped and built again",
    rule: "3.3",
    edits: [[INDEX_TS, "const missing = found?.valid !== true &&", "const missing = found === undefined &&"]],
    red: [[INDEX_TEST, "left invalid on a leaf would be attached as it is"]],
  },
  {
    guard: "no index is built on a copy that is not whole",
    rule: "3.3",
    edits: [[INDEX_TS, `if (stored.phase === "shadow" || stored.phase === "copy") {`, "if (false) {"]],
    red: [[INDEX_TEST, "indexes would be built on a table that is not whole"]],
  },
];

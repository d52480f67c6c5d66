/** The care of partitioned tables: archive, restore, retention, maintenance. Rules are those of FEATURES. */
import type { Mutant, Red } from "./mutant.js";

const ARCHIVE = "test/archive/archive.test.ts";
const STRANGE = "test/archive/strange.test.ts";
const RENAMED = "test/archive/renamed.test.ts";
const S3 = "test/archive/killed-s3.test.ts";
const DECIDE = "test/care/decide.unit.test.ts";
const MAINTAIN = "test/care/maintain.test.ts";
const ARCHIVED_TS = "src/care/archived.ts";
const RETIRE_TS = "src/care/retire.ts";
const DECIDE_TS = "src/care/decide.ts";
const MAINTAIN_TS = "src/care/maintain.ts";

const DAMAGED = "would be taken for the leaf, damaged";
const BEFORE_DETACH = "renamed right before its detach";
const AFTER_DETACH = "renamed once it is detached";
const INTO_A_BUCKET = "killed on its way into a bucket, a leaf would be dropped unproven";

const care = (
  rule: string,
  guard: string,
  edit: Mutant["edits"][number],
  ...red: [file: string, test: string]
): Mutant => ({ guard: `care: ${guard}`, rule, edits: [edit], red: [red satisfies Red] });

const ARCHIVES: readonly Mutant[] = [
  care(
    "F3",
    "an archive is read back and loaded before it counts",
    [
      "src/archive/export.ts",
      "  await onOwn(request, (session) => prove(request, manifest, session));\n",
      '  if (request.id === "") await onOwn(request, (session) => prove(request, manifest, session));\n',
    ],
    ...([S3, INTO_A_BUCKET] as const),
  ),
  care(
    "F3",
    "a leaf that was written into since its archive is not dropped",
    [
      ARCHIVED_TS,
      "return sum.rows === manifest.rows && sum.hash === manifest.hash;",
      "return sum.rows !== -1;",
    ],
    ...([ARCHIVE, "rows that come while the leaf is archived"] as const),
  ),
  care(
    "F3",
    "equal counts are not equal rows",
    [ARCHIVED_TS, "sum.rows === manifest.rows && sum.hash === manifest.hash", "sum.rows === manifest.rows"],
    ...([ARCHIVE, "rows that come while the leaf is archived"] as const),
  ),
  care(
    "F3",
    "columns that were renamed or widened since have it archived anew",
    [ARCHIVED_TS, "if (!haveSameColumns(columns, manifest.columns)) return false;", ""],
    ...([RENAMED, "a column renamed or widened meanwhile"] as const),
  ),
  care(
    "F3",
    "an archive of an earlier run is read again before the leaf is dropped on its word",
    [ARCHIVED_TS, "    return await isIntact({ manifest, folder, place, key, signal });", "    return true;"],
    ...([ARCHIVE, "has gone before the leaf was dropped would be counted on"] as const),
  ),
  care(
    "F3",
    "a leaf is called what it was before it is detached",
    ["src/care/detach.ts", "    await assertCalled(work, table, leaf);\n    const how", "    const how"],
    ...([RENAMED, "renamed once it is noted, another leaf"] as const),
  ),
  care(
    "F3",
    "a detach is of the leaf that was meant",
    ["src/care/detach.ts", 'if ((await stateNow()) === "detached") return true;', "return true;"],
    ...([RENAMED, BEFORE_DETACH] as const),
  ),
  care(
    "F3",
    "beside DEFAULT a leaf is known under the lock of its name",
    [RETIRE_TS, "    await assertCalled(work, table, leaf);\n    return true;", "    return true;"],
    ...([RENAMED, "beside a DEFAULT leaf, the same"] as const),
  ),
  care(
    "F3",
    "a detached leaf that was renamed is told until somebody decides",
    [RETIRE_TS, 'if (present !== "true") await assertCalled(work, table, leaf);', ""],
    ...([RENAMED, AFTER_DETACH] as const),
  ),
  care(
    "F3",
    "what is dropped under a leaf's name is that leaf",
    [
      "src/care/store.ts",
      "WHERE c.oid = $1::oid AND n.nspname = $2 AND c.relname = $3 AND NOT c.relispartition)",
      "WHERE c.oid = $1::oid AND $2::text IS NOT NULL AND $3::text IS NOT NULL AND NOT c.relispartition)",
    ],
    ...([RENAMED, AFTER_DETACH] as const),
  ),
  care(
    "F3",
    "an archive that was begun is ended although the policy says drop by now",
    [
      RETIRE_TS,
      'const begun = then.do === "drop" ? await openArchive(session, oid) : null;',
      'const begun = then.do === "detach" ? await openArchive(session, oid) : null;',
    ],
    ...([STRANGE, "a leaf whose archive was begun would be dropped without"] as const),
  ),
  care(
    "F3",
    "parts of a killed upload are aborted",
    ["src/archive/bucket.ts", ".filter((one) => one.Key === Key)", '.filter((one) => one.Key === "")'],
    ...([S3, INTO_A_BUCKET] as const),
  ),
  care(
    "F3",
    "parts that cannot be listed are told",
    ["src/archive/bucket.ts", "notes.length > 0 ? notes : [left(listed)]", "notes"],
    ...([S3, INTO_A_BUCKET] as const),
  ),
  care(
    "F3",
    "no archive is written over",
    ["src/archive/folder.ts", "if (await isThere(path)) throw takenAlready(path);", ""],
    ...([STRANGE, "would be written over"] as const),
  ),
];

const RESTORE: readonly Mutant[] = [
  care(
    "F3",
    "a file that is not the one that was written is not restored",
    [
      "src/archive/load.ts",
      "if (found.sha256 !== data.sha256 || found.bytes !== data.bytes)",
      "if (found.bytes === -1)",
    ],
    ...([ARCHIVE, DAMAGED] as const),
  ),
  care(
    "F3",
    "a manifest that this database has kept is the one that was written",
    ["src/archive.ts", "if (known != null) assertSame(found, known);", ""],
    ...([STRANGE, "the function that hashes a column"] as const),
  ),
  care(
    "F3",
    "a leaf brought back as a table of its own is open to its owner alone",
    ["src/care/restored.ts", "    if (others.length > 0)\n", "    if (others.length < 0)\n"],
    ...([STRANGE, "a leaf brought back as a table of its own would be open"] as const),
  ),
  care(
    "F3",
    "a table whose columns have changed does not take a leaf back",
    ["src/care/restored.ts", "if (different.length > 0)", "if (different.length < 0)"],
    ...([ARCHIVE, "a table that has changed since would take the leaf as it is not"] as const),
  ),
  care(
    "F3",
    "a restored leaf does not expire again",
    [DECIDE_TS, "!pending && !restored.has(oid) && hasExpired", "!pending && hasExpired"],
    ...([ARCHIVE, "would not come back as it was"] as const),
  ),
];

const RETENTION: readonly Mutant[] = [
  care(
    "N21",
    "a leaf expires by its upper bound",
    [
      DECIDE_TS,
      "return range.to.high <= cutoffOf(retention, now);",
      "return (range.from ?? range.to).low <= cutoffOf(retention, now);",
    ],
    ...([DECIDE, "would take another leaf than"] as const),
  ),
  care(
    "N21",
    "a bound of half past counts as the next hour",
    [
      DECIDE_TS,
      "return range.to.high <= cutoffOf(retention, now);",
      "return range.to.low <= cutoffOf(retention, now);",
    ],
    ...([DECIDE, "would take a leaf that ends at half past, on the hour"] as const),
  ),
  care(
    "F2",
    "a clock far ahead takes nothing away",
    [
      MAINTAIN_TS,
      'now !== null && mode === "apply" && beyond !== null',
      'now === null && mode === "apply" && beyond !== null',
    ],
    ...([MAINTAIN, "would be dropped because the clock is years ahead"] as const),
  ),
  care(
    "F4",
    "without --apply expired leaves are only named",
    [
      MAINTAIN_TS,
      '    if (mode !== "apply") {\n      retired.push',
      '    if (mode === "dry-run") {\n      retired.push',
    ],
    ...([MAINTAIN, "would be dropped by a run without --apply"] as const),
  ),
  care(
    "F2",
    "a leaf that somebody attaches between the look and the lock is not dropped",
    ["src/care/store.ts", "c.relname = $3 AND NOT c.relispartition)::text", "c.relname = $3)::text"],
    ...([MAINTAIN, "would be dropped although somebody attached it between the look and the lock"] as const),
  ),
  {
    guard: "care: a noted leaf that hangs on another table by now is not dropped",
    rule: "F2",
    edits: [
      [RETIRE_TS, "!one.isThere || (one.attached && !one.pending)", "!one.isThere"],
      ["src/care/store.ts", "c.relname = $3 AND NOT c.relispartition)::text", "c.relname = $3)::text"],
    ],
    red: [[MAINTAIN, "would be dropped by an old note although it is another table's leaf by now"]],
    redundantWith: "care: a leaf that somebody attaches between the look and the lock is not dropped",
  },
];

const MAINTENANCE: readonly Mutant[] = [
  care(
    "H4",
    "one maintenance at a time in a database",
    ["src/care/alone.ts", 'if (held === "true") return;', 'if (held !== "") return;'],
    ...([MAINTAIN, "would be worked on by two at once"] as const),
  ),
  care(
    "F1",
    "a table in a migration is left alone",
    [
      MAINTAIN_TS,
      "if (migration !== null) throw migrating(name, migration);",
      'if (migration === "") throw migrating(name, migration);',
    ],
    ...([MAINTAIN, "would lose its leaves to a migration that has not ended"] as const),
  ),
  care(
    "N25",
    "rows that wait in DEFAULT move into their leaf under a lock of the whole table",
    [
      "src/care/split.ts",
      'shownName(table)}`, mode: "ACCESS EXCLUSIVE" },',
      'shownName(table)}`, mode: "SHARE UPDATE EXCLUSIVE" },',
    ],
    ...([MAINTAIN, "would be split under statements that look for its rows there"] as const),
  ),
  care(
    "N25",
    "a DEFAULT leaf that a publication carries is not emptied",
    ["src/care/split.ts", ": publication !== undefined\n", ': publication?.name === ""\n'],
    ...([MAINTAIN, "would lose its rows on a subscriber"] as const),
  ),
  care(
    "N25",
    "a leaf that covers part of an interval is not overlapped",
    [
      DECIDE_TS,
      "for (const { from, to } of uncovered(ranges, whole))",
      "for (const { from, to } of uncovered([], whole))",
    ],
    ...([DECIDE, "would overlap a leaf that covers part of their interval"] as const),
  ),
];

export const CARE: readonly Mutant[] = [...ARCHIVES, ...RESTORE, ...RETENTION, ...MAINTENANCE];

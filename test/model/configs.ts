/** What is checked: small sizes of the whole protocol, each rule left out on purpose, and proof that the ends are reached. */

/** The assertions of partway.pml, by name. */
export type Assertion =
  | "visible_is_committed"
  | "pair_stands_once"
  | "comparison_is_true"
  | "knows_who_is_live"
  | "statements_succeed"
  | "skip_goes_in"
  | "it_is_reached";

export interface Config {
  /** What an operator would lose, or what is checked. */
  name: string;
  /** Switches for partway.pml, without `-D`. */
  switches: string[];
  /** `holds`: no assertion fails and nobody is stuck, in every interleaving. Otherwise the assertion that must fail. */
  expect: "holds" | Assertion;
  /** Too big to be tried whole: a random part (supertrace) by this seed of the hash functions, for one minute. */
  seed?: number;
}

const toCutover = "STOP_AT_CUTOVER";

/** The protocol as the code has it: nothing may fail. */
export const PROTOCOL: Config[] = [
  {
    name: "whole: 2 writers, 3 keys, 2 batches, crash anywhere",
    switches: ["NK=3", "CRASH", "TXS=2"],
    expect: "holds",
  },
  {
    name: "window: 2 writers, 3 keys, crash anywhere",
    switches: ["START_RETAIN", "NK=3", "CRASH", "TXS=3"],
    expect: "holds",
  },
  { name: "copy to cutover, 3 transactions", switches: [toCutover, "TXS=3"], expect: "holds" },
  { name: "2 statements a transaction", switches: [toCutover, "STMTS=2"], expect: "holds" },
  { name: "apply in parts", switches: [toCutover, "PARTIAL"], expect: "holds" },
  { name: "TRUNCATE and rewrites, to cutover", switches: [toCutover, "TRUNC", "REWRITE"], expect: "holds" },
  { name: "TRUNCATE and rewrites, to rollback", switches: ["TRUNC", "REWRITE"], expect: "holds" },
  {
    name: "abort, then another migration",
    switches: [toCutover, "CRASH", "ABORTS", "TXS=1"],
    expect: "holds",
  },
  {
    name: "crash, abort, TRUNCATE, rewrite, to rollback",
    switches: ["CRASH", "ABORTS", "TRUNC", "REWRITE", "TXS=1"],
    expect: "holds",
  },
  {
    name: "window: duplicate ids, crash, TRUNCATE, rewrite",
    switches: ["START_RETAIN", "CRASH", "TRUNC", "REWRITE", "DUPKEYS", "TXS=3"],
    expect: "holds",
  },
  {
    name: "window: 2 statements, duplicate ids",
    switches: ["START_RETAIN", "STMTS=2", "DUPKEYS", "TRUNC"],
    expect: "holds",
  },
  {
    name: "window: 4 transactions, apply in parts",
    switches: ["START_RETAIN", "DUPKEYS", "PARTIAL", "TXS=4"],
    expect: "holds",
  },
  { name: "a damaged shadow never goes live", switches: [toCutover, "DAMAGE"], expect: "holds" },
  { name: "a damaged shadow that is repaired", switches: [toCutover, "DAMAGE", "REPAIR"], expect: "holds" },
];

const sampled = (name: string, ...switches: string[]): Config[] =>
  [1, 2].map((seed) => ({ name: `${name} (part ${seed})`, switches, expect: "holds", seed }));

/** Too big to be tried whole: random parts, each with other hash functions. */
export const SAMPLED: Config[] = [
  ...sampled("3 keys, 3 transactions, crash, to cutover", toCutover, "NK=3", "TXS=3", "CRASH"),
  ...sampled(
    "everything at once, 3 keys, 4 transactions",
    "NK=3",
    "TXS=4",
    "STMTS=2",
    "CRASH",
    "ABORTS",
    "TRUNC",
    "REWRITE",
    "PARTIAL",
    "DUPKEYS",
  ),
];

const left = (name: string, expect: Assertion, ...switches: string[]): Config => ({
  name,
  switches: [...switches],
  expect,
});

/** One rule left out: the model must find the loss. */
export const WITHOUT: Config[] = [
  left("without dedupe", "pair_stands_once", toCutover, "NO_DEDUPE"),
  left("OLD pair not logged", "visible_is_committed", toCutover, "NO_OLD_PAIR"),
  left("OLD pair not logged, window", "skip_goes_in", "START_RETAIN", "NO_OLD_PAIR"),
  left("NEW pair not logged", "visible_is_committed", toCutover, "NO_NEW_PAIR"),
  left("NEW pair not logged, window", "visible_is_committed", "START_RETAIN", "NO_NEW_PAIR"),
  left("last drain outside the lock", "visible_is_committed", toCutover, "DRAIN_OUTSIDE_LOCK"),
  left(
    "rollback's last drain outside the lock",
    "visible_is_committed",
    "START_RETAIN",
    "ROLLBACK_DRAIN_OUTSIDE_LOCK",
  ),
  left(
    "cutover's snapshot before its lock",
    "visible_is_committed",
    toCutover,
    "CUTOVER_SNAPSHOT_BEFORE_LOCK",
  ),
  left(
    "epoch read without a lock: cutover",
    "knows_who_is_live",
    toCutover,
    "CRASH",
    "NO_FOR_SHARE",
    "TXS=1",
  ),
  left(
    "epoch read without a lock: copy",
    "pair_stands_once",
    toCutover,
    "CRASH",
    "NO_FOR_SHARE_COPY",
    "ABORTS",
    "TXS=1",
  ),
  left("catalog asked before the epoch is bumped", "knows_who_is_live", "CRASH", "LOOK_BEFORE_BUMP", "TXS=1"),
  left("ledger row in another transaction", "pair_stands_once", toCutover, "CRASH", "LEDGER_APART"),
  left("capture after the first snapshot", "comparison_is_true", toCutover, "CAPTURE_LATE"),
  left("size read before capture", "comparison_is_true", toCutover, "SIZE_BEFORE_CAPTURE"),
  left(
    "size and filenode read without a lock",
    "comparison_is_true",
    toCutover,
    "REWRITE",
    "MEASURE_UNLOCKED",
  ),
  left("filenode not read again", "comparison_is_true", toCutover, "REWRITE", "NO_FILENODE"),
  left("no truncate marker: source", "comparison_is_true", toCutover, "TRUNC", "NO_MARKER_SOURCE"),
  left("no truncate marker: new table", "visible_is_committed", "START_RETAIN", "TRUNC", "NO_MARKER_PARENT"),
  left("no truncate marker: a leaf", "visible_is_committed", "START_RETAIN", "TRUNC", "NO_MARKER_LEAF"),
  left("apply: rows of one snapshot, log of a later", "visible_is_committed", toCutover, "READ_BEFORE_PICK"),
  left("apply: two snapshots, log deleted by range", "visible_is_committed", toCutover, "FORGET_BY_RANGE"),
  left(
    "apply: delete by key, not by pair",
    "visible_is_committed",
    "START_RETAIN",
    "DUPKEYS",
    "DELETE_BY_KEY",
    "PARTIAL",
  ),
  left("logged pairs not left out of validation", "comparison_is_true", toCutover, "LOG_NOT_LEFT_OUT"),
  left("validation: snapshot before lock", "comparison_is_true", toCutover, "TRUNC", "SNAPSHOT_BEFORE_LOCK"),
  left(
    "apply: snapshot before lock",
    "comparison_is_true",
    toCutover,
    "REWRITE",
    "APPLY_SNAPSHOT_BEFORE_LOCK",
  ),
  left(
    "apply: new table locked without its leaves",
    "visible_is_committed",
    "START_RETAIN",
    "REWRITE",
    "LOCK_PARENT_ONLY",
  ),
  left(
    "apply: lagging side not locked, window",
    "visible_is_committed",
    "START_RETAIN",
    "REWRITE",
    "LOCK_LIVE_ONLY",
  ),
  left("apply: lagging side not locked", "visible_is_committed", toCutover, "REWRITE", "LOCK_LIVE_ONLY"),
  left(
    "rebuild: snapshot before lock",
    "visible_is_committed",
    "START_RETAIN",
    "TRUNC",
    "REWRITE",
    "REBUILD_SNAPSHOT_BEFORE_LOCK",
    "TXS=3",
  ),
  left("no validation, a damaged shadow", "visible_is_committed", toCutover, "DAMAGE", "NO_VALIDATION"),
  left("log dropped before its trigger", "statements_succeed", "LOG_BEFORE_TRIGGER"),
];

/** Left out, and nothing is lost: another rule holds it alone. A change here changes what the other rule must bear. */
export const REDUNDANT: Config[] = [
  {
    name: "a copy batch without FOR SHARE, no abort",
    switches: [toCutover, "CRASH", "NO_FOR_SHARE_COPY", "TXS=1"],
    expect: "holds",
  },
  {
    name: "apply READ COMMITTED, log picked first, by id",
    switches: [toCutover, "TWO_SNAPSHOTS"],
    expect: "holds",
  },
  {
    name: "apply's snapshot before its lock, TRUNCATE only",
    switches: [toCutover, "TRUNC", "APPLY_SNAPSHOT_BEFORE_LOCK"],
    expect: "holds",
  },
];

/** A check that nothing can fail is no check: each of these states must be reached. */
export const REACHED: Config[] = [
  left("cutover is reached", "it_is_reached", "REACH_CUTOVER"),
  left("rollback is reached", "it_is_reached", "REACH_ROLLBACK"),
  left("a copy that starts again is reached", "it_is_reached", "TRUNC", "REACH_RESET"),
  left("a takeover before the epoch is read is reached", "it_is_reached", "CRASH", "REACH_TAKEOVER"),
  left("an apply without duplicate ids is reached", "it_is_reached", "START_RETAIN", "DUPKEYS", "REACH_SKIP"),
  left("a refused rollback is reached", "it_is_reached", "START_RETAIN", "DUPKEYS", "REACH_REFUSED"),
];

export const ALL: Config[] = [...PROTOCOL, ...SAMPLED, ...WITHOUT, ...REDUNDANT, ...REACHED];

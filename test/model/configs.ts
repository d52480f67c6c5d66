/** What is checked: small sizes of the whole protocol, each rule left out on purpose, and proof that the ends are reached. */

/** The assertions of partway.pml, by name. */
export type Assertion =
  | "visible_is_committed"
  | "pair_stands_once"
  | "comparison_is_true"
  | "knows_who_is_live"
  | "statements_succeed"
  | "it_is_reached";

export interface Config {
  /** What an operator would lose, or what is checked. */
  name: string;
  /** Switches for partway.pml, without `-D`. */
  switches: string[];
  /** `holds`: no assertion fails and nobody is stuck, in every interleaving. Otherwise the assertion that must fail. */
  expect: "holds" | Assertion;
  /** Too big to be tried whole: a random part (supertrace), for one minute. */
  partial?: boolean;
}

const toCutover = "STOP_AT_CUTOVER";

/** The protocol as the code has it: nothing may fail. */
export const PROTOCOL: Config[] = [
  { name: "copy to cutover", switches: [toCutover, "TXS=3"], expect: "holds" },
  { name: "3 keys", switches: [toCutover, "NK=3"], expect: "holds" },
  { name: "2 statements a transaction", switches: [toCutover, "STMTS=2"], expect: "holds" },
  { name: "apply in parts", switches: [toCutover, "PARTIAL"], expect: "holds" },
  { name: "TRUNCATE and rewrites", switches: [toCutover, "TRUNC", "REWRITE"], expect: "holds" },
  { name: "crash, resume, zombie, to rollback", switches: ["CRASH"], expect: "holds" },
  {
    name: "abort, then another migration",
    switches: [toCutover, "CRASH", "ABORTS", "TXS=1"],
    expect: "holds",
  },
  {
    name: "crash, abort, TRUNCATE, rewrite",
    switches: ["CRASH", "ABORTS", "TRUNC", "REWRITE", "TXS=1"],
    expect: "holds",
  },
  {
    name: "window: duplicate ids, crash, TRUNCATE",
    switches: ["START_RETAIN", "CRASH", "TRUNC", "DUPKEYS", "TXS=3"],
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
  {
    name: "everything at once, 3 keys",
    switches: ["NK=3", "TXS=4", "STMTS=2", "CRASH", "ABORTS", "TRUNC", "REWRITE", "PARTIAL", "DUPKEYS"],
    expect: "holds",
    partial: true,
  },
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
  left("NEW pair not logged", "visible_is_committed", toCutover, "NO_NEW_PAIR"),
  left("last drain outside the lock", "visible_is_committed", toCutover, "DRAIN_OUTSIDE_LOCK"),
  left(
    "cutover's snapshot before its lock",
    "visible_is_committed",
    toCutover,
    "CUTOVER_SNAPSHOT_BEFORE_LOCK",
  ),
  left("epoch read without FOR SHARE: cutover", "knows_who_is_live", toCutover, "CRASH", "NO_FOR_SHARE"),
  left(
    "epoch read without FOR SHARE: copy",
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
  left("filenode not read again", "comparison_is_true", toCutover, "REWRITE", "NO_FILENODE"),
  left("apply: rows of one snapshot, log of a later", "visible_is_committed", toCutover, "READ_BEFORE_PICK"),
  left("log deleted by range, at another snapshot", "visible_is_committed", toCutover, "FORGET_BY_RANGE"),
  left("logged pairs not left out of validation", "comparison_is_true", toCutover, "LOG_NOT_LEFT_OUT"),
  left("validation: snapshot before lock", "comparison_is_true", toCutover, "TRUNC", "SNAPSHOT_BEFORE_LOCK"),
  left(
    "apply: snapshot before lock",
    "comparison_is_true",
    toCutover,
    "REWRITE",
    "APPLY_SNAPSHOT_BEFORE_LOCK",
  ),
  left("no validation, a damaged shadow", "visible_is_committed", toCutover, "DAMAGE", "NO_VALIDATION"),
  left("log dropped before its trigger", "statements_succeed", "LOG_BEFORE_TRIGGER"),
];

/** Holes that the code still has (README): each must fail until it is closed; and the remedy, which must hold. */
export const OPEN: Config[] = [
  left(
    "OPEN: a leaf rewritten during a reverse apply",
    "visible_is_committed",
    "START_RETAIN",
    "LEAF_REWRITE",
  ),
  left(
    "OPEN: the retired table rewritten during one",
    "visible_is_committed",
    "START_RETAIN",
    "LAGGING_REWRITE",
  ),
  left("OPEN: the shadow rewritten during an apply", "visible_is_committed", toCutover, "LAGGING_REWRITE"),
  {
    name: "... reverse, files read again",
    switches: ["START_RETAIN", "LEAF_REWRITE", "LAGGING_REWRITE", "FILES_READ_AGAIN", "TXS=3"],
    expect: "holds",
  },
  {
    name: "... forward, files read again",
    switches: [toCutover, "LAGGING_REWRITE", "FILES_READ_AGAIN"],
    expect: "holds",
  },
];

/** Left out, and nothing is lost: another rule holds it alone. A change here changes what the other rule must bear. */
export const REDUNDANT: Config[] = [
  {
    name: "a copy batch without FOR SHARE, no abort",
    switches: [toCutover, "CRASH", "NO_FOR_SHARE_COPY"],
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

export const ALL: Config[] = [...PROTOCOL, ...WITHOUT, ...OPEN, ...REDUNDANT, ...REACHED];

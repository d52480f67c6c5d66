/** The lease and the retention window (DESIGN 3.8, 3.9). */
import type { Mutant } from "./mutant.js";

const LEASE_TS = "src/pg/lease.ts";
const SESSION_TS = "src/pg/session.ts";
const HOSTILE_WINDOW_TEST = "test/hostile/window.test.ts";
const VERDICT_TS = "src/sync/verdict.ts";
const ROLLBACK_TS = "src/phases/rollback.ts";
const RETAIN_TS = "src/phases/retain.ts";
const DROP_TS = "src/phases/drop.ts";
const STORE_TS = "src/sync/store.ts";

const LEASE_TEST = "test/pg/lease.test.ts";
const ENGINE_TEST = "test/engine/engine.test.ts";
const RETAIN_TEST = "test/phases/retain.test.ts";
const REVERSE_TEST = "test/sync/reverse.test.ts";
const DROP_TEST = "test/phases/drop.test.ts";
const GUARDS_TEST = "test/guards/window.test.ts";

const SAFE_AFTER = "rollback would be called safe after";

export const WINDOW: readonly Mutant[] = [
  {
    guard: "a zombie's epoch is compared with the row's",
    rule: "3.9",
    edits: [[LEASE_TS, "if (row === null || row.epoch !== epoch) throw", "if (row === null) throw"]],
    red: [
      [LEASE_TEST, "a zombie that wakes up in the middle of the copy"],
      [LEASE_TEST, "a zombie would apply, repair or cut over under another's hands"],
      [LEASE_TEST, "a zombie that sleeps while it waits for the cutover's lock"],
    ],
  },
  {
    guard: "the epoch is read FOR SHARE: a takeover waits for what is in flight",
    rule: "3.9",
    edits: [[LEASE_TS, "WHERE id = $1 FOR SHARE`", "WHERE id = $1`"]],
    red: [[LEASE_TEST, "the new orchestrator would begin while a batch of the dead one can still commit"]],
  },
  {
    guard: "whoever takes over bumps the epoch",
    rule: "3.9",
    edits: [[LEASE_TS, "SET epoch = epoch + 1 WHERE", "SET epoch = epoch WHERE"]],
    red: [[LEASE_TEST, "an orchestrator that was taken over would go on writing"]],
  },
  {
    guard: "the cutover's transaction checks the epoch inside its locks",
    rule: "3.9",
    edits: [["src/sync/swap-locked.ts", "await context.lease.check(session);", ""]],
    red: [[LEASE_TEST, "a zombie that sleeps while it waits for the cutover's lock"]],
  },
  {
    guard: "transactions that take locks first check the epoch (capture, removal)",
    rule: "3.9",
    edits: [["src/sync/lock.ts", "await context.lease.check(session);", ""]],
    red: [[GUARDS_TEST, "a zombie that sleeps while it waits for a capture lock"]],
  },
  {
    guard: "the rebuilding of the retired table checks the epoch",
    rule: "3.9",
    edits: [["src/sync/reverse.ts", "await lease.tx(session, work, {", "await session.tx(work, {"]],
    red: [[GUARDS_TEST, "a zombie would rebuild the retired table"]],
  },
  {
    guard: "an orchestrator that was away for longer than its own epochs is a zombie (atMost)",
    rule: "3.9",
    edits: [
      [LEASE_TS, "AND epoch <= coalesce($2::bigint, epoch)", "AND coalesce($2::bigint, 0) IS NOT NULL"],
    ],
    red: [[ENGINE_TEST, "a zombie that lost its connections to a takeover would take the migration back"]],
  },
  {
    guard: "an orchestrator that was refused does not count the other's epoch as its own",
    rule: "3.9",
    edits: [
      [
        "src/engine/connections.ts",
        `error.kind === "refused") this.#reached = atMost;`,
        `error.kind === "refused") this.#reached = this.#reached;`,
      ],
    ],
    red: [[LEASE_TEST, "a zombie that was refused once would count the other's epoch as its own"]],
  },
  {
    guard: "only Partway's own backends are ended",
    rule: "3.9",
    edits: [
      [
        LEASE_TS,
        "ANY (pg_blocking_pids($1::int)) AND a.application_name = $2 AND",
        "ANY (pg_blocking_pids($1::int)) AND $2::text <> '' AND",
      ],
    ],
    red: [[LEASE_TEST, "a session that is not Partway's would be ended because it stands in the way"]],
  },
  {
    guard: "Partway's own orphans that stand in the way are ended",
    rule: "3.9",
    edits: [
      [
        LEASE_TS,
        "query(LEASE_SQL.terminateOwnBlockers, [session.pid, APPLICATION_NAME])",
        `query("SELECT 1")`,
      ],
    ],
    red: [[LEASE_TEST, "the new orchestrator would begin while a batch of the dead one can still commit"]],
    hangs: "nobody ends the orphan's transaction, so the takeover waits for ever",
  },
  {
    guard: "a second orchestrator is refused",
    rule: "3.9",
    edits: [[LEASE_TS, "if (!takeover) {", "if (false) {"]],
    red: [[LEASE_TEST, "two orchestrators would drive one migration"]],
  },
  {
    guard: "a dead orchestrator's sessions are ended when its successor has the lease",
    rule: "3.9",
    edits: [
      [
        "src/engine/connections.ts",
        "await this.#helper.query(LEASE_SQL.terminateWorkers, [this.#migration, APPLICATION_NAME]);",
        "",
      ],
    ],
    red: [[ENGINE_TEST, "a dead orchestrator's session that still holds a lock would keep the cutover"]],
  },
  {
    guard: "after an unknown COMMIT the epoch is bumped before anybody looks",
    rule: "3.6",
    edits: [["src/engine/endure.ts", "await connections.take(false);", ""]],
    red: [[ENGINE_TEST, "a COMMIT still on its way would be overtaken by the look at what it has done"]],
  },
  {
    guard: "a connection lost is unknown, not failed",
    rule: "3.6",
    edits: [
      [
        SESSION_TS,
        "if (this.#lost || isConnectionError(error)) throw new ConnectionLost(this.#broken ?? error);",
        "",
      ],
    ],
    red: [[ENGINE_TEST, "a connection lost at the COMMIT of the swap would be taken for a failure"]],
  },
  {
    guard: "a connection lost at COMMIT is told apart (CommitUnknown)",
    rule: "3.6",
    edits: [[SESSION_TS, "if (error instanceof ConnectionLost) throw new CommitUnknown(error);", ""]],
    red: [["test/phases/copy.test.ts", "a process that dies before COMMIT would leave rows without ledger"]],
  },
  {
    guard: "a COMMIT answered with ROLLBACK is an error",
    rule: "3.6",
    edits: [[SESSION_TS, `if (command !== "COMMIT")`, "if (false)"]],
    red: [["test/guards/session.test.ts", "a COMMIT that the server answered with ROLLBACK"]],
  },
  {
    guard: "abort is refused after a cutover that was committed",
    rule: "3.6",
    edits: [["src/engine/effects.ts", "AFTER_CUTOVER.includes(stored.phase)", "false"]],
    red: [["test/review/ends.test.ts", "an abort after a cutover that was committed"]],
  },
  {
    guard: "verdict: the name leads to the new table",
    rule: "3.8",
    edits: [[VERDICT_TS, `(await nameHolder(session, plan, shadowOid)) !== "new")`, "false)"]],
    red: [[RETAIN_TEST, `${SAFE_AFTER} … the new table renamed away`]],
  },
  {
    guard: "verdict: columns are the same",
    rule: "3.8",
    edits: [[VERDICT_TS, "/^[+-] column /.test(line) ||", ""]],
    red: [[RETAIN_TEST, `${SAFE_AFTER} … a column added`]],
  },
  {
    guard: "verdict: no leaf was detached or dropped",
    rule: "3.8",
    edits: [[VERDICT_TS, "/^- (leaf|partition|capture) /", "/^- (partition|capture on none) /"]],
    red: [[RETAIN_TEST, `${SAFE_AFTER} … a leaf detached`]],
  },
  {
    guard: "verdict: reverse capture was not switched off and on again",
    rule: "3.8",
    edits: [
      [VERDICT_TS, "/^- (leaf|partition|capture) /", "/^- (leaf|partition) /"],
      ["src/sync/capture.ts", "AND d.xmin = t.xmin)", ")"],
    ],
    redundantWith: "triggers that were off and on again are told by their xmin (NEVER_OFF)",
    red: [["test/review/window.test.ts", "capture switched off and on again on the new table"]],
    note: "The parent's triggers are told by NEVER_OFF as well; a leaf's own only by the fingerprint of the cutover.",
  },
  {
    guard: "verdict: a leaf's own capture was not switched off and on again",
    rule: "3.8",
    edits: [[VERDICT_TS, "/^- (leaf|partition|capture) /", "/^- (leaf|partition) /"]],
    red: [["test/guards/window.test.ts", "one leaf's capture switched off and on again"]],
  },
  {
    guard: "verdict: the retired table is as it was",
    rule: "3.8",
    edits: [
      [
        VERDICT_TS,
        'forbidding(before.retired, now.retired, "the retired table")',
        'forbidding(before.retired, before.retired, "the retired table")',
      ],
    ],
    red: [[RETAIN_TEST, `${SAFE_AFTER} … the retired table altered`]],
  },
  {
    guard: "verdict: the new table's reverse capture stands",
    rule: "3.8",
    edits: [
      [VERDICT_TS, `if (!(await captureStands(session, plan, "reverse", shadowOid)))`, "if (false)"],
      [VERDICT_TS, "/^- (leaf|partition|capture) /", "/^- (leaf|partition) /"],
      [
        VERDICT_TS,
        "for (const leaf of await leavesWithoutCapture(session, plan, shadowOid)) {",
        "for (const leaf of [] as string[]) {",
      ],
    ],
    redundantWith: "verdict: reverse capture was not switched off and on again",
    red: [[RETAIN_TEST, `${SAFE_AFTER} … capture disabled`]],
    note: "Three looks see a disabled trigger: captureStands, the definitions of the cutover, and the look at each leaf.",
  },
  {
    guard: "verdict: a leaf attached in the window has its capture",
    rule: "3.8",
    edits: [
      [
        VERDICT_TS,
        "for (const leaf of await leavesWithoutCapture(session, plan, shadowOid)) {",
        "for (const leaf of [] as string[]) {",
      ],
    ],
    red: [
      [GUARDS_TEST, "a leaf attached in the window would be called safe before its TRUNCATE is captured"],
    ],
  },
  {
    guard: "verdict: no key stands twice",
    rule: "3.8",
    edits: [[VERDICT_TS, "HAVING count(*) > 1 LIMIT 3", "HAVING count(*) > 2 LIMIT 3"]],
    red: [
      [RETAIN_TEST, `${SAFE_AFTER} … an id given out twice`],
      [REVERSE_TEST, "one duplicate id would stop the way back"],
    ],
  },
  {
    guard: "verdict: a truncation not yet followed is told",
    rule: "3.8",
    edits: [[VERDICT_TS, "if (marker.rows.length > 0)", "if (false)"]],
    red: [[RETAIN_TEST, "rows truncated from … would come back by a rollback"]],
  },
  {
    guard: "a rebuilding that the old key refuses is told by the verdict, and ends nothing",
    rule: "3.8",
    edits: [[RETAIN_TS, "if (!refusedByRetired(error)) throw error;", "throw error;"]],
    red: [[REVERSE_TEST, "a TRUNCATE while an id stands twice would end the window and the rollback"]],
  },
  {
    guard: "rollback refuses while the verdict is not safe",
    rule: "3.8",
    edits: [[ROLLBACK_TS, "if (!now.safe) throw notSafe(plan, now.sentence);", ""]],
    red: [[GUARDS_TEST, "a rollback that cannot be would lock the table to find that out"]],
    note: "The last drain inside the lock meets the same conflict and refuses too; then everybody has waited.",
  },
  {
    guard: "rollback looks at the definitions again inside its lock",
    rule: "3.8",
    edits: [
      [
        ROLLBACK_TS,
        "check: async () => {\n        await assertSafe(session, plan, stored);",
        "check: async () => {",
      ],
    ],
    red: [[GUARDS_TEST, "a column added between the last look and the rollback's lock"]],
  },
  {
    guard: "verdict: the new table is as strict as the retired one",
    rule: "3.8",
    edits: [[VERDICT_TS, "...stricter(before, now, retired), ", ""]],
    red: [[HOSTILE_WINDOW_TEST, "a rollback called safe would fail, or lose rows"]],
  },
  {
    guard: "verdict: rights changed on one of the two tables alone",
    rule: "3.8",
    edits: [[VERDICT_TS, "reasons.push(...rightsApart(before, now, plan));", ""]],
    red: [[HOSTILE_WINDOW_TEST, "a rollback called safe would fail, or lose rows"]],
  },
  {
    guard: "verdict: nobody writes to the retired table by its name",
    rule: "3.8",
    edits: [
      [VERDICT_TS, "if (written !== null) reasons.push", "if (false && written !== null) reasons.push"],
    ],
    red: [[HOSTILE_WINDOW_TEST, "what somebody wrote there would come back with a rollback"]],
  },
  {
    guard: "an index dropped in the window is not renamed by a rollback",
    rule: "3.8",
    edits: [["src/sync/swap.ts", "gone.has(from) ?", "false ?"]],
    red: [[HOSTILE_WINDOW_TEST, "what does no harm to the way back would close it"]],
  },
  {
    guard: "the deadline is the database's clock",
    rule: "3.8",
    edits: [
      [
        RETAIN_TS,
        "const secondsLeft = stored.secondsLeft ?? 0;",
        `const secondsLeft = (Date.parse(stored.deadline ?? "") - Date.now()) / 1000;`,
      ],
    ],
    red: [[GUARDS_TEST, "a machine whose clock is days ahead"]],
  },
  {
    guard: "finalize is refused before the deadline",
    rule: "3.8",
    edits: [
      [DROP_TS, "!settings.forceDrop && (secondsLeft ?? 1) > 0", "false"],
      [STORE_TS, "OR $2::boolean OR deadline <= clock_timestamp()", "OR $2::boolean OR true"],
    ],
    red: [[DROP_TEST, "the retired table would be gone while rollback is still promised"]],
  },
  {
    guard: "the window is asked again in the statement that ends it",
    rule: "3.8",
    edits: [[STORE_TS, "OR $2::boolean OR deadline <= clock_timestamp()", "OR $2::boolean OR true"]],
    red: [[DROP_TEST, "a window that was extended at the last moment would end all the same"]],
  },
  {
    guard: "what hangs on the retired table is not dropped with it (no CASCADE)",
    rule: "3.8",
    edits: [
      [
        DROP_TS,
        `await session.query(\`DROP TABLE \${retired}\`);`,
        `await session.query(\`DROP TABLE \${retired} CASCADE\`);`,
      ],
    ],
    red: [[DROP_TEST, "a view on the retired table would be dropped with it, unasked"]],
  },
  {
    guard: "after a rollback the leaves give their names back",
    rule: "3.8",
    edits: [[ROLLBACK_TS, "await freeNames(context, session, shadowOid);", ""]],
    red: [["test/phases/rollback.test.ts", "in the way of the next attempt"]],
  },
];

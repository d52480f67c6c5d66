/**
 * An expired leaf on its way out: archived where the policy says so, noted down, detached, and dropped where it is to be.
 * The note is committed first, so that the next run finishes what a killed one has begun, and drops nothing that was not
 * on its way.
 */
import { z } from "zod";
import { type ArchiveRow, openArchive } from "../archive/store.js";
import { PartwayError } from "../errors.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { shellWord } from "../plan/typed.js";
import {
  type Archivable,
  type Archived,
  assertArchivable,
  dropArchived,
  ensureArchived,
} from "./archived.js";
import { assertCalled } from "./called.js";
import type { Then } from "./decide.js";
import { type DetachableLeaf, detachPatiently } from "./detach.js";
import { CARE_SQL, type Leaving, Present } from "./store.js";
import { type CareLeaf, type CareTable, shellName, shownName } from "./table.js";
import { attempt, type CareWork, inLocks } from "./work.js";

/** What has become of an expired leaf; pending: detached for queries, but somebody still has it in use. */
export type Fate = "detached" | "dropped" | "archived" | "pending";

/**
 * Archives the leaf where that is to be, detaches it and drops it where it is to go. Errors: `lock-busy`; `refused` when
 * something still needs it, or the place of the archive cannot be used: then it is attached as before.
 */
export async function retireLeaf(
  work: CareWork,
  table: CareTable,
  leaf: CareLeaf,
  then: Then,
): Promise<Fate> {
  const { session } = work;
  const { oid, schema, name, boundText: bound } = leaf;
  const known = { oid, schema, name, bound };
  // Begun while the policy said archive: asked before the detach, or a leaf that cannot be dropped would be out of sight.
  const begun = then.do === "drop" ? await openArchive(session, oid) : null;
  const end: Then = begun === null ? then : { do: "archive", settings: begun.settings };
  if (end.do === "archive") assertArchivable(table, { ...leaf, bound });
  const made =
    end.do === "archive"
      ? await withWayOut(begun, () => ensureArchived(work, table, known, end.settings))
      : null;
  await assertCalled(work, table, known, made?.id ?? null);
  await session.query(CARE_SQL.leave, [oid, table.oid, name, bound, end.do !== "detach"]);
  if (!(await detach(work, table, leaf))) return "pending";
  return (await finishLeaf(work, table, known, end, made)) ?? "detached";
}

/** The policy says drop by now: an archive that cannot be ended may be given up, by whoever knows that it may. */
async function withWayOut<T>(begun: ArchiveRow | null, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (begun === null || !(error instanceof PartwayError)) throw error;
    if (error.kind !== "refused" && error.kind !== "bad-input") throw error;
    const { kind, message: what, state } = error;
    const next = `${error.next} Its archive was begun, and its policy says drop by now; to drop it without: DELETE FROM partway.partition_archive WHERE leaf = ${begun.leaf} AND dropped_at IS NULL;`;
    throw new PartwayError(kind, { what, state, next }, { cause: error });
  }
}

/**
 * What earlier runs have left: a pending detach is finished, a detached leaf archived and dropped if it was to be and the
 * policy of today still says so (with `apply`; without, it waits). One whose archive was begun, and which has not expired,
 * is its operator's to end. Gives the leaves it finished; a failure goes to `failures`.
 */
export async function finishLeaving(
  work: CareWork,
  table: CareTable,
  noted: readonly Leaving[],
  rule: { apply: boolean; thenStill(bound: string): Then },
  failures: unknown[],
): Promise<{ name: string; fate: Fate }[]> {
  const done: { name: string; fate: Fate }[] = [];
  const finished = async (name: string, step: () => Promise<Fate | null>) => {
    const fate = await attempt(work, failures, step);
    if (fate !== null) done.push({ name, fate });
  };
  // Somebody else's interrupted DETACH CONCURRENTLY stands in the way of ours, and can only be finished.
  for (const leaf of table.leaves.filter(
    ({ pending, oid }) => pending && noted.every((one) => one.oid !== oid),
  ))
    await finished(leaf.name, async () => ((await finalize(work, table, leaf)) ? "detached" : "pending"));
  for (const one of noted)
    await finished(one.name, async () => {
      if (!one.isThere || (one.attached && !one.pending)) {
        // Gone, never detached, or another table's leaf by now: whether it is expired is decided anew.
        await work.session.query(CARE_SQL.left, [one.oid]);
        return null;
      }
      if (one.pending && !(await finalize(work, table, { ...one, name: one.nameNow }))) return "pending";
      const then = one.thenDrop ? rule.thenStill(one.bound) : ({ do: "detach" } as const);
      if (one.thenDrop && then.do === "detach" && (await openArchive(work.session, one.oid)) !== null)
        throw halfArchived(table, one);
      return then.do !== "detach" && !rule.apply ? null : finishLeaf(work, table, one, then, null);
    });
  return done;
}

/**
 * The end of a detached leaf; null when it is another's by now, and let go. One whose archive was begun is dropped when
 * that is proven, and not before, whatever the policy says by now.
 */
export async function finishLeaf(
  work: CareWork,
  table: CareTable,
  leaf: Archivable,
  then: Then,
  made: Archived | null,
): Promise<Fate | null> {
  const { session } = work;
  const begun = then.do === "drop" ? await openArchive(session, leaf.oid) : null;
  const settings = then.do === "archive" ? then.settings : (begun?.settings ?? null);
  const isGone =
    then.do !== "detach" &&
    (await explainedBy(work, table, leaf, DETACHED, () =>
      settings === null
        ? drop(work, table, leaf)
        : withWayOut(begun, () => dropArchived(work, table, leaf, settings, made)),
    ));
  if (isGone) return settings === null ? "dropped" : "archived";
  await session.query(CARE_SQL.left, [leaf.oid]);
  return then.do === "detach" ? "detached" : null;
}

/** Archived by hand, most likely: the policy alone would have left it attached. */
function halfArchived(table: CareTable, { name }: Leaving): PartwayError {
  return new PartwayError("refused", {
    what: `the leaf ${name} of ${shownName(table)} is detached and its archive was begun, and its policy does not drop it`,
    state: DETACHED,
    next: `partway archive ${shellName(table)} --leaf ${shellWord(name)} --apply ends it; attached again by hand, it stays.`,
  });
}

/** Foreign keys of the leaf are triggers on other tables: those are locked, so the lock is bounded. */
function drop(work: CareWork, table: CareTable, leaf: DetachableLeaf): Promise<boolean> {
  const { session } = work;
  return inLocks(work, {
    ...{ purpose: `drop of ${leaf.name}`, parent: shownName(table), leaf: shownName(leaf) },
    check: async () => {
      const { present } = await session.one(Present, CARE_SQL.ours, [leaf.oid, leaf.schema, leaf.name]);
      if (present !== "true") await assertCalled(work, table, leaf);
      return present === "true";
    },
    strong: [{ alter: `DROP TABLE ${shownName(leaf)}` }],
    after: async () => {
      await session.query(CARE_SQL.left, [leaf.oid]);
    },
    state: DETACHED,
  });
}

/**
 * True when the leaf is a table of its own. CONCURRENTLY waits for the transactions that have the table in use, and
 * holds nobody up while it does; beside a DEFAULT leaf PostgreSQL does not have it, and the lock is bounded instead.
 */
async function detach(work: CareWork, table: CareTable, leaf: CareLeaf): Promise<boolean> {
  if (!table.leaves.some(({ bound }) => bound.kind === "default"))
    return explainedBy(work, table, leaf, ATTACHED, () => detachPatiently(work, table, leaf));
  const statement = `ALTER TABLE ${shownName(table)} DETACH PARTITION ${shownName(leaf)}`;
  const locked = { purpose: `detach of ${leaf.name}`, parent: shownName(table), leaf: shownName(leaf) };
  // Under the lock of that name, which nobody renames then.
  const check = async () => {
    await assertCalled(work, table, leaf);
    return true;
  };
  return explainedBy(work, table, leaf, ATTACHED, () =>
    inLocks(work, { ...locked, check, strong: [{ alter: statement }] }),
  );
}

function finalize(work: CareWork, table: CareTable, leaf: DetachableLeaf): Promise<boolean> {
  return explainedBy(work, table, leaf, HALF, () => detachPatiently(work, table, leaf));
}

const ATTACHED = "The leaf and its rows are there, attached as before.";
const HALF = "The leaf and its rows are there; its detach is begun and not finished.";
const DETACHED = "The leaf is detached: it and its rows are there, as a table of its own.";

const STILL_NEEDED: ReadonlySet<string> = new Set(["23503", "2BP01"]);

async function explainedBy<T>(
  work: CareWork,
  table: CareTable,
  leaf: DetachableLeaf,
  state: string,
  step: () => Promise<T>,
): Promise<T> {
  try {
    return await step();
  } catch (error) {
    const detail = z.object({ message: z.string(), detail: z.string().optional() }).safeParse(error).data;
    if (sqlState(error) === SQLSTATE.undefinedTable) {
      await assertCalled(work, table, leaf);
      throw new PartwayError(
        "refused",
        {
          what: `the leaf ${leaf.name} of ${shownName(table)}, or the table, was renamed or dropped on its way out: ${detail?.message}`,
          state,
          next: "The same command again, with the name that it has by now.",
        },
        { cause: error },
      );
    }
    if (!STILL_NEEDED.has(sqlState(error) ?? "")) throw error;
    throw new PartwayError(
      "refused",
      {
        what: `the expired leaf ${leaf.name} of ${shownName(table)} is still needed: ${detail?.message}${detail?.detail === undefined ? "" : ` (${detail.detail})`}`,
        state,
        next: "Remove what refers to it, then the same command again.",
      },
      { cause: error },
    );
  }
}

/**
 * An expired leaf on its way out: noted down, detached, and dropped where the policy says so. The note is committed
 * first, so that the next run finishes what a killed one has begun, and drops nothing that was not on its way.
 */
import { z } from "zod";
import { PartwayError } from "../errors.js";
import { sqlState } from "../pg/sqlstate.js";
import { type DetachableLeaf, detachPatiently } from "./detach.js";
import { CARE_SQL, type Leaving, Present } from "./store.js";
import { type CareLeaf, type CareTable, shownName } from "./table.js";
import { attempt, type CareWork, inLocks } from "./work.js";

/** What has become of an expired leaf; pending: detached for queries, but somebody still has it in use. */
export type Fate = "detached" | "dropped" | "pending";

/** Detaches the leaf and, with `thenDrop`, drops it. Errors: `lock-busy`; `refused` when something still needs it. */
export async function retireLeaf(
  work: CareWork,
  table: CareTable,
  leaf: CareLeaf,
  thenDrop: boolean,
): Promise<Fate> {
  const { session } = work;
  await session.query(CARE_SQL.leave, [leaf.oid, table.oid, leaf.name, leaf.boundText, thenDrop]);
  if (!(await detach(work, table, leaf))) return "pending";
  return (await finish(work, table, leaf, thenDrop)) ?? "detached";
}

/**
 * What earlier runs have left: a pending detach is finished, a detached leaf dropped if it was to be and the policy
 * of today still says so (with `apply`; without, it waits). Gives the leaves it finished; a failure goes to `failures`.
 */
export async function finishLeaving(
  work: CareWork,
  table: CareTable,
  noted: readonly Leaving[],
  rule: { apply: boolean; isStillToDrop(bound: string): boolean },
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
      if (one.pending && !(await finalize(work, table, one))) return "pending";
      const isToDrop = one.thenDrop && rule.isStillToDrop(one.bound);
      return isToDrop && !rule.apply ? null : finish(work, table, one, isToDrop);
    });
  return done;
}

/** Null when it is another's by now, and let go. */
async function finish(
  work: CareWork,
  table: CareTable,
  leaf: DetachableLeaf,
  thenDrop: boolean,
): Promise<Fate | null> {
  const { session } = work;
  // Foreign keys of the leaf are triggers on other tables: those are locked, so the lock is bounded.
  const drop = () =>
    inLocks(work, {
      ...{ purpose: `drop of ${leaf.name}`, parent: shownName(table), leaf: shownName(leaf) },
      check: async () => {
        const { present } = await session.one(Present, CARE_SQL.ours, [leaf.oid, leaf.schema, leaf.name]);
        return present === "true";
      },
      strong: [{ alter: `DROP TABLE ${shownName(leaf)}` }],
      after: async () => {
        await session.query(CARE_SQL.left, [leaf.oid]);
      },
      state: DETACHED,
    });
  if (thenDrop && (await explainedBy(table, leaf.name, DETACHED, drop))) return "dropped";
  await session.query(CARE_SQL.left, [leaf.oid]);
  return thenDrop ? null : "detached";
}

/**
 * True when the leaf is a table of its own. CONCURRENTLY waits for the transactions that have the table in use, and
 * holds nobody up while it does; beside a DEFAULT leaf PostgreSQL does not have it, and the lock is bounded instead.
 */
async function detach(work: CareWork, table: CareTable, leaf: CareLeaf): Promise<boolean> {
  if (!table.leaves.some(({ bound }) => bound.kind === "default"))
    return explainedBy(table, leaf.name, ATTACHED, () => detachPatiently(work, table, leaf));
  const statement = `ALTER TABLE ${shownName(table)} DETACH PARTITION ${shownName(leaf)}`;
  const locked = { purpose: `detach of ${leaf.name}`, parent: shownName(table) };
  return explainedBy(table, leaf.name, ATTACHED, () =>
    inLocks(work, { ...locked, strong: [{ alter: statement }] }),
  );
}

function finalize(work: CareWork, table: CareTable, leaf: DetachableLeaf): Promise<boolean> {
  return explainedBy(table, leaf.name, HALF, () => detachPatiently(work, table, leaf));
}

const ATTACHED = "The leaf and its rows are there, attached as before.";
const HALF = "The leaf and its rows are there; its detach is begun and not finished.";
const DETACHED = "The leaf is detached: it and its rows are there, as a table of its own.";

const STILL_NEEDED: ReadonlySet<string> = new Set(["23503", "2BP01"]);

async function explainedBy<T>(
  table: CareTable,
  leaf: string,
  state: string,
  step: () => Promise<T>,
): Promise<T> {
  try {
    return await step();
  } catch (error) {
    const detail = z.object({ message: z.string(), detail: z.string().optional() }).safeParse(error).data;
    if (!STILL_NEEDED.has(sqlState(error) ?? "")) throw error;
    throw new PartwayError(
      "refused",
      {
        what: `the expired leaf ${leaf} of ${shownName(table)} is still needed: ${detail?.message}${detail?.detail === undefined ? "" : ` (${detail.detail})`}`,
        state,
        next: "Remove what refers to it, then the same command again.",
      },
      { cause: error },
    );
  }
}

/**
 * An expired leaf on its way out: noted down, detached, and dropped where the policy says so. The note is committed
 * first, so that the next run finishes what a killed one has begun, and drops nothing that was not on its way.
 */
import { z } from "zod";
import { PartwayError } from "../errors.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { CARE_SQL, type Leaving } from "./store.js";
import { type CareLeaf, type CareTable, shownName } from "./table.js";
import { type CareWork, inLocks } from "./work.js";

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
  return finish(work, table, leaf, thenDrop);
}

/**
 * What earlier runs have left: a pending detach is finished, a detached leaf dropped if it was to be and the policy
 * still says so (with `apply`; without, it waits). Gives the leaves it finished.
 */
export async function finishLeaving(
  work: CareWork,
  table: CareTable,
  noted: readonly Leaving[],
  { wanted, apply }: { wanted: "drop" | "detach"; apply: boolean },
): Promise<{ name: string; fate: Fate }[]> {
  const done: { name: string; fate: Fate }[] = [];
  // Somebody else's interrupted DETACH CONCURRENTLY stands in the way of ours, and can only be finished.
  for (const leaf of table.leaves.filter(
    ({ pending, oid }) => pending && noted.every((one) => one.oid !== oid),
  ))
    done.push({ name: leaf.name, fate: (await finalize(work, table, leaf)) ? "detached" : "pending" });
  for (const one of noted) {
    if (!one.isThere || (one.attached && !one.pending)) {
      // Gone, or never detached: whether it is expired is decided anew.
      await work.session.query(CARE_SQL.left, [one.oid]);
      continue;
    }
    if (one.pending && !(await finalize(work, table, one))) {
      done.push({ name: one.name, fate: "pending" });
      continue;
    }
    const isToDrop = one.thenDrop && wanted === "drop";
    if (isToDrop && !apply) continue;
    done.push({ name: one.name, fate: await finish(work, table, one, isToDrop) });
  }
  return done;
}

async function finish(
  work: CareWork,
  table: CareTable,
  leaf: Pick<Leaving, "oid" | "schema" | "name">,
  thenDrop: boolean,
): Promise<Fate> {
  const { session } = work;
  if (!thenDrop) {
    await session.query(CARE_SQL.left, [leaf.oid]);
    return "detached";
  }
  // Foreign keys of the leaf are triggers on other tables: those are locked, so the lock is bounded.
  await explainedBy(table, leaf.name, () =>
    inLocks(work, {
      purpose: `drop of ${leaf.name}`,
      parent: shownName(table),
      strong: [{ alter: `DROP TABLE ${shownName(leaf)}` }],
      after: async () => {
        await session.query(CARE_SQL.left, [leaf.oid]);
      },
    }),
  );
  return "dropped";
}

/**
 * True when the leaf is a table of its own. CONCURRENTLY waits for the transactions that have the table in use, and
 * holds nobody up while it does; beside a DEFAULT leaf PostgreSQL does not have it, and the lock is bounded instead.
 */
async function detach(work: CareWork, table: CareTable, leaf: CareLeaf): Promise<boolean> {
  const statement = `ALTER TABLE ${shownName(table)} DETACH PARTITION ${shownName(leaf)}`;
  if (table.leaves.some(({ bound }) => bound.kind === "default")) {
    await explainedBy(table, leaf.name, () =>
      inLocks(work, {
        purpose: `detach of ${leaf.name}`,
        parent: shownName(table),
        strong: [{ alter: statement }],
      }),
    );
    return true;
  }
  return patiently(work, table, leaf.name, `${statement} CONCURRENTLY`);
}

function finalize(
  work: CareWork,
  table: CareTable,
  leaf: Pick<Leaving, "schema" | "name">,
): Promise<boolean> {
  const name = shownName(leaf);
  return patiently(
    work,
    table,
    leaf.name,
    `ALTER TABLE ${shownName(table)} DETACH PARTITION ${name} FINALIZE`,
  );
}

/** False when transactions outlast our patience: the detach stays pending, and the next run finishes it. */
async function patiently(
  work: CareWork,
  table: CareTable,
  leaf: string,
  statement: string,
): Promise<boolean> {
  const { session, settings } = work;
  const patienceMs = settings.lockTries * settings.lockTimeoutMaxMs;
  await session.query(`SET lock_timeout = ${Math.round(patienceMs)}`);
  try {
    await explainedBy(table, leaf, () => session.query(statement));
    return true;
  } catch (error) {
    if (sqlState(error) !== SQLSTATE.lockNotAvailable) throw error;
    return false;
  } finally {
    if (!session.lost) await session.query("SET lock_timeout = 0");
  }
}

const STILL_NEEDED: ReadonlySet<string> = new Set(["23503", "2BP01"]);

async function explainedBy(table: CareTable, leaf: string, step: () => Promise<unknown>): Promise<void> {
  try {
    await step();
  } catch (error) {
    const detail = z.object({ message: z.string(), detail: z.string().optional() }).safeParse(error).data;
    if (!STILL_NEEDED.has(sqlState(error) ?? "")) throw error;
    throw new PartwayError(
      "refused",
      {
        what: `the expired leaf ${leaf} of ${shownName(table)} is still needed: ${detail?.message}${detail?.detail === undefined ? "" : ` (${detail.detail})`}`,
        state: "The leaf and its rows are there.",
        next: "Remove what refers to it, then the same command again.",
      },
      { cause: error },
    );
  }
}

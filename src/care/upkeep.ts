/** ANALYZE and VACUUM of a table's leaves, when somebody asks for it: every leaf, however fresh it is. */
import { PartwayError } from "../errors.js";
import { setLocal } from "../pg/locks.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { CARE_SQL } from "./store.js";
import { type CareTable, readCareTable, shownName } from "./table.js";
import { attempt, type CareWork } from "./work.js";

export type Upkeep = "analyze" | "vacuum" | "vacuum-full";

export interface UpkeepReport {
  /** `"schema"."table"`. */
  table: string;
  /** Leaves and, for `analyze`, the table itself. */
  done: string[];
  /** Somebody had them locked. */
  locked: string[];
}

/** Errors: what the server says of a leaf, after the others were done. */
export async function keepUp(work: CareWork, oid: string, what: Upkeep): Promise<UpkeepReport> {
  const table = await readCareTable(work.session, { oid });
  const report: UpkeepReport = { table: shownName(table), done: [], locked: [] };
  const failures: unknown[] = [];
  for (const { name, sql } of statementsFor(table, what))
    await attempt(work, failures, async () => {
      const list = (await withoutQueueing(work, sql, what)) ? report.done : report.locked;
      list.push(name);
    });
  await work.session.query(CARE_SQL.metadata, [oid]);
  if (failures.length > 0) throw failures[0];
  return report;
}

function statementsFor(table: CareTable, what: Upkeep): { name: string; sql: string }[] {
  const leaves = table.leaves.filter(({ kind }) => kind !== "foreign").map(shownName);
  const whole = shownName(table);
  switch (what) {
    case "analyze": {
      // The leaves have had their turn; before 18 there is no way to leave them out.
      const only = table.serverVersion >= 180_000 ? "ONLY " : "";
      return [
        ...leaves.map((name) => ({ name, sql: `ANALYZE ${name}` })),
        { name: whole, sql: `ANALYZE ${only}${whole}` },
      ];
    }
    case "vacuum":
      return leaves.map((name) => ({ name, sql: `VACUUM (ANALYZE) ${name}` }));
    case "vacuum-full":
      return leaves.map((name) => ({ name, sql: `VACUUM (FULL, ANALYZE) ${name}` }));
  }
}

/**
 * False when the lock is not to be had within its bound: FULL locks everybody out, and behind a lock that waits, the
 * application waits too. VACUUM has no transaction to set a bound in, so the session's own is set and taken back.
 */
async function withoutQueueing({ session, settings }: CareWork, sql: string, what: Upkeep): Promise<boolean> {
  const bound = what === "vacuum-full" ? settings.lockTimeoutMs : settings.lockTimeoutMaxMs;
  try {
    if (what === "analyze")
      await session.tx(async () => {
        await setLocal(session, "lock_timeout", bound);
        await session.query(sql);
      });
    else {
      await session.query(`SET lock_timeout = ${Math.round(bound)}`);
      try {
        await session.query(sql);
      } finally {
        if (!session.lost) await session.query("SET lock_timeout = 0");
      }
    }
    return true;
  } catch (error) {
    if (sqlState(error) !== SQLSTATE.lockNotAvailable) throw error;
    return false;
  }
}

/** What a report with locked leaves comes to, for who asked for all of them. */
export function leftLocked({ table, locked }: UpkeepReport): PartwayError | null {
  if (locked.length === 0) return null;
  return new PartwayError("lock-busy", {
    what: `${table}: somebody has ${locked.join(", ")} locked`,
    state: "The other leaves were done.",
    next: "The same command again, when the application is quieter.",
  });
}

/** The change log for a comparison: read from the slot up to a moment after the comparison's snapshot. */
import { ident } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import type { Plan } from "../plan/types.js";
import { logType } from "../sync/capture.js";
import type { Late } from "../sync/compare.js";
import { type Direction, pairColumns, sidesOf } from "../sync/pairs.js";
import { type FillContext, fillToNow } from "./fill.js";
import { readsWal } from "./identity.js";

/** Log rows that are handed on at a time. */
const PIECE = 5000;
const LEFT_OUT = "pg_temp.partway_left_out";

/**
 * What a comparison leaves out; undefined where triggers write the log in the change's own transaction. Nothing is applied
 * between the snapshot and this, so the log of now has all that the snapshot's has.
 */
export function lateLog(
  context: FillContext & { open(): Promise<Session> },
  direction: Direction,
): Late | undefined {
  const { plan } = context;
  if (direction !== "forward" || !readsWal(plan)) return undefined;
  const { log } = sidesOf(plan, "forward");
  return {
    prepare: async (session) => {
      // A temporary table may be written to in a transaction that only reads.
      await session.query(`CREATE TEMPORARY TABLE partway_left_out AS SELECT * FROM ${log} WITH NO DATA`);
    },
    gather: async (sessions) => {
      const reader = await context.open();
      await fillToNow(reader, context);
      const { pick, insert } = handOn(plan, log);
      await reader.tx(async () => {
        for await (const rows of reader.cursor(pick, [], PIECE)) {
          const piece = `[${rows.map((row) => row["line"]).join(",")}]`;
          for (const session of sessions) await session.query(insert, [piece]);
        }
      });
      for (const session of sessions) await session.query(`ANALYZE ${LEFT_OUT}`);
      return LEFT_OUT;
    },
  };
}

function handOn(plan: Plan, log: string): { pick: string; insert: string } {
  const columns = pairColumns(plan);
  const names = columns.map((c) => ident(c.name));
  const values = columns.map((c, at) => `(e->>${at + 1})::${logType(plan, c)}`);
  return {
    pick: `SELECT json_build_array(partway_op, ${names.map((name) => `${name}::text`).join(", ")})::text AS line FROM ${log}`,
    insert: `INSERT INTO ${LEFT_OUT} (partway_op, ${names.join(", ")})
SELECT (e->>0)::"char", ${values.join(", ")} FROM json_array_elements($1::json) AS e`,
  };
}

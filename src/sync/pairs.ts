/** The pair (key, partition key): the unit of capture, apply and comparison. Everything here builds SQL text. */
import { ident, literal, qualified } from "../pg/quote.js";
import type { ColumnRef, Plan } from "../plan/types.js";
import { isKeyed } from "../wal/identity.js";

/** Custom setting by which Partway's own transactions are told apart (echo guard, DESIGN 3.1). */
export const MARK = "partway.applier";

/** Columns of the pair: the key, then the partition columns that are not in it. */
export function pairColumns(plan: Plan): ColumnRef[] {
  const inKey = new Set(plan.key.map((c) => c.name));
  return [...plan.key, ...plan.partitionBy.filter((c) => !inKey.has(c.name))];
}

/** `"id", "created_at"` with an optional alias: `s."id", s."created_at"`. */
export function pairList(plan: Plan, alias?: string): string {
  return pairColumns(plan)
    .map((c) => (alias === undefined ? ident(c.name) : `${alias}.${ident(c.name)}`))
    .join(", ");
}

/** `a."id" = b."id"`: the key alone. */
export function keyEquals(plan: Plan, a: string, b: string): string {
  return plan.key.map((c) => `${a}.${ident(c.name)} = ${b}.${ident(c.name)}`).join(" AND ");
}

/** `a."id" = b."id" AND a."created_at" = b."created_at"`. */
export function pairEquals(plan: Plan, a: string, b: string): string {
  return pairColumns(plan)
    .map((c) => `${a}.${ident(c.name)} = ${b}.${ident(c.name)}`)
    .join(" AND ");
}

/**
 * The same for reading the live side: a nullable partition column must match NULL too, so that a row that the new
 * table cannot hold fails loudly on insert instead of being left out in silence.
 */
export function pairMatchesLive(plan: Plan, a: string, b: string): string {
  const nullable = new Set(plan.source.columns.filter((c) => !c.notNull).map((c) => c.name));
  return pairColumns(plan)
    .map((c) => {
      const test = nullable.has(c.name) ? "IS NOT DISTINCT FROM" : "=";
      return `${a}.${ident(c.name)} ${test} ${b}.${ident(c.name)}`;
    })
    .join(" AND ");
}

/** `"id", "note"`: the columns that copy and apply write (generated ones are computed again). */
export function writableList(plan: Plan, alias?: string): string {
  return plan.writable
    .map((name) => (alias === undefined ? ident(name) : `${alias}.${ident(name)}`))
    .join(", ");
}

/** `OVERRIDING SYSTEM VALUE ` when the table has an identity column, else empty. */
export function overriding(plan: Plan): string {
  return plan.hasIdentity ? "OVERRIDING SYSTEM VALUE " : "";
}

export type Direction = "forward" | "reverse";

/** Who is who: before cutover the source is live and the shadow lags; after it, the new table and the retired one. */
export interface Sides {
  direction: Direction;
  /** Quoted, schema-qualified. */
  live: string;
  lagging: string;
  log: string;
}

export function sidesOf(plan: Plan, direction: Direction): Sides {
  const { schema, source, shadow, retired, forwardLog, reverseLog } = plan.names;
  return direction === "forward"
    ? {
        direction,
        live: qualified(schema, source),
        lagging: qualified(schema, shadow),
        log: qualified("partway", forwardLog),
      }
    : {
        direction,
        live: qualified(schema, source),
        lagging: qualified(schema, retired),
        log: qualified("partway", reverseLog),
      };
}

/** True of a row `s` whose pair the log does not hold; where log rows may have the key alone, whose key it does not. */
export function notLogged(plan: Plan, { log, direction }: Sides): string {
  const same = direction === "forward" && isKeyed(plan) ? keyEquals : pairEquals;
  return `NOT EXISTS (SELECT FROM ${log} AS d WHERE ${same(plan, "d", "s")})`;
}

/**
 * For work whose loss the server tells by itself: a batch goes with its row in the ledger, a build with its index, and
 * what is missing is done again. The commit that moves the phase waits for the disk, and for standbys, and with them for
 * everything before it.
 */
export const REPEATABLE = "SET LOCAL synchronous_commit = off";

/** Marks the transaction as Partway's own: the capture triggers skip it. SET LOCAL takes no snapshot. */
export function markSql(plan: Plan): string {
  return `SET LOCAL ${MARK} = ${literal(plan.nonce)}`;
}

/**
 * Capture (DESIGN 3.1): triggers that write pairs, never row images, to a change log in the same transaction as the
 * change. ENABLE ALWAYS, so that a subscription's apply worker is captured too; SECURITY DEFINER, because application
 * roles have no rights on schema partway; and skipped for Partway's own marked transactions.
 */
import { z } from "zod";
import { ident, literal, qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import type { ColumnRef, Plan, Statement } from "../plan/types.js";
import { type Direction, MARK, pairColumns, pairList } from "./pairs.js";

interface CaptureNames {
  log: string;
  fn: string;
  row: string;
  truncate: string;
}

/** The names one direction uses: log and function quoted and qualified, trigger names quoted. */
export function captureNames(plan: Plan, direction: Direction): CaptureNames {
  const n = plan.names;
  return direction === "forward"
    ? {
        log: qualified("partway", n.forwardLog),
        fn: qualified("partway", n.forwardFunction),
        row: ident(n.forwardTrigger),
        truncate: ident(n.forwardTruncateTrigger),
      }
    : {
        log: qualified("partway", n.reverseLog),
        fn: qualified("partway", n.reverseFunction),
        row: ident(n.reverseTrigger),
        truncate: ident(n.reverseTruncateTrigger),
      };
}

/**
 * A column of the log has the type beneath a domain: a marker leaves the pair NULL, which a domain may refuse, and
 * then the application's TRUNCATE would fail. No length or precision is needed to hold what the source held. The
 * collation is the source's: under a nondeterministic one DISTINCT must take for one key what the join takes for one.
 */
function logColumn(plan: Plan): (column: ColumnRef) => string {
  return (column) => {
    const collation = plan.source.columns.find(({ name }) => name === column.name)?.collation ?? null;
    const collate = collation === null ? "" : ` COLLATE ${collation}`;
    return `${ident(column.name)} ${logType(plan, column)}${collate}`;
  };
}

/** The type of a column of the log. */
export function logType(plan: Plan, { name, type }: ColumnRef): string {
  const baseType = plan.source.columns.find((column) => column.name === name)?.baseType;
  if (baseType === undefined) return type;
  const dot = baseType.indexOf(".");
  return qualified(baseType.slice(0, dot), baseType.slice(dot + 1));
}

/**
 * A log row's number: microseconds, then 62 random bits, so that it orders as the rows came and never stands twice. Not
 * a sequence: the trigger runs in the application's session, whose lastval() a nextval of ours would change.
 */
const NUMBER = `(lpad(to_hex((EXTRACT(epoch FROM clock_timestamp()) * 1000000)::bigint), 16, '0')
    || right(gen_random_uuid()::text, 17))::uuid`;

/** The change log and the trigger function. Runs in one transaction; both IF NOT EXISTS / OR REPLACE. */
export function logDdl(plan: Plan, direction: Direction): Statement[] {
  const { log, fn } = captureNames(plan, direction);
  const columns = pairColumns(plan).map(logColumn(plan)).join(", ");
  const old = pairList(plan, "OLD");
  const new_ = pairList(plan, "NEW");
  return [
    {
      sql: `CREATE TABLE IF NOT EXISTS ${log} (
  partway_seq uuid PRIMARY KEY DEFAULT ${NUMBER},
  partway_op "char" NOT NULL DEFAULT 'r',
  ${columns})`,
      note: `change log: pairs changed on the live side (${direction}); never the row image`,
    },
    {
      sql: `CREATE OR REPLACE FUNCTION ${fn}() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $partway$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO ${log} (partway_op) VALUES ('t');
    RETURN NULL;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    INSERT INTO ${log} (${pairList(plan)}) VALUES (${old});
  END IF;
  IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND ROW(${new_}) IS DISTINCT FROM ROW(${old})) THEN
    INSERT INTO ${log} (${pairList(plan)}) VALUES (${new_});
  END IF;
  RETURN NULL;
END
$partway$`,
      note: "logs the OLD pair, and the NEW pair where it differs",
    },
  ];
}

function guard(plan: Plan): string {
  return `WHEN (pg_catalog.current_setting(${literal(MARK)}, true) IS DISTINCT FROM ${literal(plan.nonce)})`;
}

/** Row and truncate triggers on one table; `table` is quoted and qualified. */
export function triggerDdl(plan: Plan, direction: Direction, table: string): Statement[] {
  const { fn, row, truncate } = captureNames(plan, direction);
  return [
    {
      sql: `CREATE TRIGGER ${row} AFTER INSERT OR UPDATE OR DELETE ON ${table}
  FOR EACH ROW ${guard(plan)} EXECUTE FUNCTION ${fn}()`,
    },
    {
      sql: `ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${row}`,
      note: "fires for a subscription's apply worker too",
    },
    ...truncateTriggerDdl(plan, direction, table, truncate),
  ];
}

/** The truncate trigger alone: truncating a leaf does not fire the parent's, so each leaf has one. */
export function leafTriggerDdl(plan: Plan, leaf: string): Statement[] {
  return truncateTriggerDdl(plan, "reverse", leaf, captureNames(plan, "reverse").truncate);
}

function truncateTriggerDdl(plan: Plan, direction: Direction, table: string, name: string): Statement[] {
  const { fn } = captureNames(plan, direction);
  return [
    {
      sql: `CREATE TRIGGER ${name} AFTER TRUNCATE ON ${table}
  FOR EACH STATEMENT ${guard(plan)} EXECUTE FUNCTION ${fn}()`,
    },
    { sql: `ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${name}` },
  ];
}

/** Drops one direction's triggers from a table (a partitioned parent's row trigger takes its clones along). */
export function dropTriggersSql(plan: Plan, direction: Direction, table: string): string[] {
  const { row, truncate } = captureNames(plan, direction);
  return [`DROP TRIGGER IF EXISTS ${row} ON ${table}`, `DROP TRIGGER IF EXISTS ${truncate} ON ${table}`];
}

/** Drops one direction's function and log; the triggers must be gone. */
export function dropLogSql(plan: Plan, direction: Direction): string[] {
  const { log, fn } = captureNames(plan, direction);
  return [`DROP FUNCTION IF EXISTS ${fn}()`, `DROP TABLE IF EXISTS ${log}`];
}

/**
 * True of a trigger `t` that fires for every writer and has done so since it was made: DISABLE and ENABLE write the
 * trigger's row again, its pg_depend rows never.
 */
export const NEVER_OFF = `t.tgenabled = 'A' AND EXISTS (SELECT FROM pg_depend d
         WHERE d.classid = 'pg_trigger'::regclass AND d.objid = t.oid AND d.xmin = t.xmin)`;

const STATE_SQL = /*sql*/ `
SELECT count(*) FILTER (WHERE t.tgname = $2)::text AS rows, count(*) FILTER (WHERE t.tgname = $3)::text AS truncates
  FROM pg_trigger t WHERE t.tgrelid = $1::oid AND ${NEVER_OFF}`;

/** Do both triggers of a direction stand on the table, enabled ALWAYS, and have they since they were made? */
export async function captureStands(
  session: Session,
  plan: Plan,
  direction: Direction,
  oid: string,
): Promise<boolean> {
  const n = plan.names;
  const [row, truncate] =
    direction === "forward"
      ? [n.forwardTrigger, n.forwardTruncateTrigger]
      : [n.reverseTrigger, n.reverseTruncateTrigger];
  const Found = z.object({ rows: z.coerce.number(), truncates: z.coerce.number() });
  const found = await session.one(Found, STATE_SQL, [oid, row, truncate]);
  return found.rows === 1 && found.truncates === 1;
}

/**
 * The verdict of the retention window (DESIGN 3.8): "rollback is safe, N keys behind" or "rollback is not safe because
 * X". Asked at every moment of the window, by the screen, by `status` and by rollback itself.
 */
import { z } from "zod";
import { diffFingerprints, fingerprint } from "../catalog/fingerprint.js";
import { ident } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import type { Fingerprint, Plan } from "../plan/types.js";
import { backlog } from "./apply.js";
import { captureStands } from "./capture.js";
import { type Sides, sidesOf } from "./pairs.js";
import type { StoredMigration } from "./store.js";
import { nameHolder } from "./swap.js";

export interface Verdict {
  safe: boolean;
  /** One sentence. */
  sentence: string;
  keysBehind: number;
}

/** Rows counted in the reverse log before it is called long. */
const CAP = 1_000_000;

/** The verdict now. Reads only. */
export async function verdict(session: Session, plan: Plan, stored: StoredMigration): Promise<Verdict> {
  const sides = sidesOf(plan, "reverse");
  const reasons = await definitionReasons(session, plan, stored);
  if (reasons.length > 0) return notSafe(reasons, 0);
  const keysBehind = await backlog(session, sides.log, CAP);
  const data = keysBehind === 0 ? [] : await dataReasons(session, plan, sides);
  return data.length > 0 ? notSafe(data, keysBehind) : safe(keysBehind);
}

function safe(keysBehind: number): Verdict {
  const keys = keysBehind === 1 ? "1 key" : `${keysBehind} keys`;
  return { safe: true, sentence: `rollback is safe, ${keys} behind`, keysBehind };
}

function notSafe(reasons: string[], keysBehind: number): Verdict {
  return { safe: false, sentence: `rollback is not safe because ${reasons.join("; and ")}`, keysBehind };
}

/** What in the two tables' definitions forbids a rollback. Cheap catalog reads: also run inside the rollback's lock. */
export async function definitionReasons(
  session: Session,
  plan: Plan,
  stored: StoredMigration,
): Promise<string[]> {
  const { shadowOid } = stored;
  const { schema, source } = plan.names;
  if (shadowOid === null || (await nameHolder(session, plan, shadowOid)) !== "new")
    return [`${schema}.${source} is not the table that Partway made`];
  const reasons: string[] = [];
  if (stored.fingerprintJson !== null) {
    const before = Fingerprints.parse(JSON.parse(stored.fingerprintJson));
    reasons.push(...forbidding(before.live, await liveDefinition(session, plan, shadowOid), "the new table"));
    reasons.push(
      ...forbidding(before.retired, await fingerprint(session, plan.source.oid), "the retired table"),
    );
  }
  if (!(await captureStands(session, plan, "reverse", shadowOid)))
    reasons.push(
      "the reverse capture triggers are missing or disabled, so writes may not have been recorded",
    );
  for (const leaf of await leavesWithoutCapture(session, plan, shadowOid)) {
    reasons.push(`reverse capture is missing or disabled on leaf ${leaf}`);
  }
  return reasons;
}

const Lines = z.object({ lines: z.array(z.string()) });
const Fingerprints = z.object({ live: Lines, retired: Lines });

/** Both tables' definitions right after cutover, to be stored with the migration. */
export async function windowFingerprints(
  session: Session,
  plan: Plan,
  shadowOid: string,
): Promise<{ live: Fingerprint; retired: Fingerprint }> {
  return {
    live: await liveDefinition(session, plan, shadowOid),
    retired: await fingerprint(session, plan.source.oid),
  };
}

const CAPTURE_SQL = /*sql*/ `
SELECT format('capture %s on %s (%s, xmin %s)', t.tgname, CASE c.oid WHEN $1::oid THEN '<table>' ELSE c.relname END, t.oid, t.xmin) AS line
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE t.tgname = ANY ($2::text[]) AND t.tgenabled = 'A'
   AND (c.oid = $1::oid OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = $1::oid))`;

/**
 * The new table's definition and its reverse triggers with their xmin, so that DISABLE then ENABLE shows, and a leaf
 * that was detached and came back (its triggers are others).
 */
async function liveDefinition(session: Session, plan: Plan, oid: string): Promise<Fingerprint> {
  const { lines } = await fingerprint(session, oid);
  const names = [plan.names.reverseTrigger, plan.names.reverseTruncateTrigger];
  const capture = await session.rows(z.object({ line: z.string() }), CAPTURE_SQL, [oid, names]);
  return { lines: [...lines, ...capture.map((row) => row.line)].sort() };
}

/** Columns changed, or leaves removed: what the retired table could not follow. Added leaves and indexes are harmless. */
function forbidding(before: Fingerprint, now: Fingerprint, table: string): string[] {
  return diffFingerprints(before, now)
    .filter((line) => /^[+-] column /.test(line) || /^- (leaf|partition|capture) /.test(line))
    .map((line) =>
      line.startsWith("- capture")
        ? `reverse capture was switched off, dropped or detached since cutover, so writes may not have been recorded (${line})`
        : `the definition of ${table} has changed since cutover (${line})`,
    );
}

const LEAF_CAPTURE_SQL = /*sql*/ `
SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = $1::oid
   AND (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = ANY ($2::text[]) AND t.tgenabled = 'A') < 2
 ORDER BY 1`;

/** Leaves on which the row trigger's clone or the truncate trigger does not stand enabled ALWAYS. */
export async function leavesWithoutCapture(
  session: Session,
  plan: Plan,
  parentOid: string,
): Promise<string[]> {
  const names = [plan.names.reverseTrigger, plan.names.reverseTruncateTrigger];
  const rows = await session.rows(z.object({ name: z.string() }), LEAF_CAPTURE_SQL, [parentOid, names]);
  return rows.map((row) => row.name);
}

/** What in the data forbids a rollback now: keys that stand twice, a truncation not yet followed. */
async function dataReasons(session: Session, plan: Plan, sides: Sides): Promise<string[]> {
  const keys = plan.key.map((c) => ident(c.name));
  const Row = z.object({ key: z.string(), n: z.coerce.number() });
  const twice = await session.rows(
    Row,
    `SELECT ${keys.map((k) => `s.${k}::text`).join(" || ', ' || ")} AS key, count(*)::text AS n
       FROM (SELECT DISTINCT ${keys.join(", ")} FROM ${sides.log} WHERE partway_op = 'r') AS d
       JOIN ${sides.live} AS s ON ${keys.map((k) => `s.${k} = d.${k}`).join(" AND ")}
      GROUP BY ${keys.map((k) => `s.${k}`).join(", ")} HAVING count(*) > 1 LIMIT 3`,
  );
  const reasons = twice.map(
    (row) => `key ${row.key} stands ${row.n} times in the new table, which the old unique key refuses`,
  );
  const marker = await session.query(`SELECT FROM ${sides.log} WHERE partway_op = 't' LIMIT 1`);
  if (marker.rows.length > 0)
    reasons.push("the new table was truncated and the retired one is still to be rebuilt");
  return reasons;
}

/**
 * The verdict of the retention window (DESIGN 3.8): "rollback is safe, N keys behind" or "rollback is not safe because
 * X". Asked at every moment of the window, by the screen, by `status` and by rollback itself.
 */
import { z } from "zod";
import { diffFingerprints, fingerprint } from "../catalog/fingerprint.js";
import { ident, qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import type { Fingerprint, Plan } from "../plan/types.js";
import { backlog } from "./apply.js";
import { captureStands } from "./capture.js";
import { type Sides, sidesOf } from "./pairs.js";
import { nameOf } from "./remove.js";
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
  if (stored.shadowOid !== null) reasons.push(...(await othersReaders(session, stored.shadowOid)));
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

const OTHERS_SQL = /*sql*/ `
SELECT format('view %s belongs to %I', c.oid::regclass, pg_get_userbyid(c.relowner)) AS line
  FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class AND c.relkind = 'v' JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE r.oid IN (SELECT d.objid FROM pg_depend d WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = $1::oid)
   AND n.nspname !~ '^pg_temp_' AND NOT pg_has_role(c.relowner, 'USAGE')
UNION
SELECT format('function %s belongs to %I', p.oid::regprocedure, pg_get_userbyid(p.proowner))
  FROM pg_proc p
 WHERE p.oid IN (SELECT d.objid FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.refobjid = $1::oid)
   AND NOT pg_has_role(p.proowner, 'USAGE') ORDER BY 1`;

/** Readers made in the window that only their owner may make to read the old table again. */
async function othersReaders(session: Session, shadowOid: string): Promise<string[]> {
  const rows = await session.rows(z.object({ line: z.string() }), OTHERS_SQL, [shadowOid]);
  return rows.map(
    ({ line }) => `${line}, whose rights Partway has not: it could not be made to read the old table again`,
  );
}

/** What in the two tables' definitions forbids a rollback. Cheap catalog reads: also run inside the rollback's lock. */
export async function definitionReasons(
  session: Session,
  plan: Plan,
  stored: StoredMigration,
): Promise<string[]> {
  const { shadowOid } = stored;
  const { schema, source, retired } = plan.names;
  if (shadowOid === null || (await nameHolder(session, plan, shadowOid)) !== "new")
    return [`${schema}.${source} is not the table that Partway made`];
  const called = await nameOf(session, plan.source.oid);
  if (called === null) return [`the retired table ${schema}.${retired} was dropped`];
  if (called !== qualified(schema, retired))
    return [`the retired table is now called ${called}: rename it back to ${retired}`];
  const reasons: string[] = [];
  if (stored.fingerprintJson !== null) {
    const before = Fingerprints.parse(JSON.parse(stored.fingerprintJson));
    const now = await windowFingerprints(session, plan, shadowOid);
    reasons.push(...forbidding(before.live, now.live, "the new table"));
    reasons.push(...forbidding(before.retired, now.retired, "the retired table"));
    reasons.push(...stricter(before, now, retired), ...leftBehind(before.live, now.live, plan));
    reasons.push(...rightsApart(before, now, plan));
  }
  const written = await writtenByName(session, plan);
  if (written !== null) reasons.push(byName(plan, written));
  if (!(await captureStands(session, plan, "reverse", shadowOid)))
    reasons.push(
      "the reverse capture triggers are missing or disabled, so writes may not have been recorded",
    );
  for (const leaf of await leavesWithoutCapture(session, plan, shadowOid)) {
    reasons.push(`reverse capture is missing or disabled on leaf ${leaf}`);
  }
  return reasons;
}

/** The new table's definition as the last validation began, when the database has it. */
export function validatedDefinition(stored: StoredMigration): Fingerprint | null {
  if (stored.fingerprintJson === null) return null;
  return Fingerprints.parse(JSON.parse(stored.fingerprintJson)).live;
}

const Lines = z.object({ lines: z.array(z.string()) });
const Fingerprints = z.object({ live: Lines, retired: Lines });

interface Window {
  live: Fingerprint;
  retired: Fingerprint;
}

/**
 * Both tables' definitions before the swap, to be stored with the migration. The source is as it was planned, or the
 * drift check (before validation, inside the cutover's lock) ends the run: it need not be read once more.
 */
export async function validatedFingerprints(
  session: Session,
  plan: Plan,
  shadowOid: string,
): Promise<Window> {
  return { live: await liveDefinition(session, plan, shadowOid), retired: plan.fingerprint };
}

/** Both tables' definitions after cutover. */
export async function windowFingerprints(session: Session, plan: Plan, shadowOid: string): Promise<Window> {
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

const SKETCH_SQL = /*sql*/ `
SELECT format('leaf %s', inhrelid) AS line FROM pg_inherits WHERE inhparent = $1::oid
UNION ALL SELECT format('column %s %s %s', attnum, attname, atttypid) FROM pg_attribute
 WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped
UNION ALL SELECT format('index %s', indexrelid) FROM pg_index WHERE indrelid = $1::oid`;

/** Leaves, columns and indexes of the new table by number: what the whole definition is too dear for inside a lock. */
export async function sketch(session: Session, oid: string): Promise<Fingerprint> {
  const rows = await session.rows(z.object({ line: z.string() }), SKETCH_SQL, [oid], "sketch");
  return { lines: rows.map((row) => row.line).sort() };
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

/** What a line forbids rows to be: a CHECK, a unique index; null for any other line. */
function rule(line: string): string | null {
  const [, check, unique] =
    /^(?:constraint (?:"(?:[^"]|"")*"|\S+) (CHECK .*)|unique index (?:"(?:[^"]|"")*"|\S+) (USING .*))$/s.exec(
      line,
    ) ?? [];
  return check ?? (unique === undefined ? null : `UNIQUE ${unique}`);
}

/**
 * Rules that the retired table has and the new one no longer: rows may come that cannot go back. Those that differed
 * at cutover already are the old key's, whose conflicts are looked for in the data.
 */
function stricter(before: Window, now: Window, retired: string): string[] {
  const rules = ({ lines }: Fingerprint) => new Set(lines.map(rule).filter((found) => found !== null));
  const [liveBefore, live] = [rules(before.live), rules(now.live)];
  const retiredBefore = rules(before.retired);
  return [...rules(now.retired)]
    .filter((one) => !live.has(one) && !(retiredBefore.has(one) && !liveBefore.has(one)))
    .map(
      (one) =>
        `the retired table has ${one} and the new one has not, so rows may come that cannot go back (add it to the new table again, or drop it from ${retired})`,
    );
}

/** Another relation's rule or trigger is told as `name on schema.relation`, a view's rule as the view's. */
const LEFT_BEHIND =
  /^\+ (incoming-foreign-key |materialized-view |rule |other |inheritance-child |trigger (?!CREATE )|view (?:"(?:[^"]|"")*"|\S+) on )/;

/**
 * What was made since cutover and would go with the new table, or go on reading it, in silence. Views, functions,
 * triggers and policies are taken back with the name; what stood at the plan already is no news.
 */
function leftBehind(before: Fingerprint, now: Fingerprint, plan: Plan): string[] {
  const plain = (line: string) => line.replace(/ NOT VALID$/, "");
  const known = new Set(plan.fingerprint.lines.map((line) => `+ ${plain(line)}`));
  return diffFingerprints(before, now)
    .filter((line) => LEFT_BEHIND.test(line) && !known.has(plain(line)))
    .map((line) => `what was made since cutover would stay with the new table (${line})`);
}

/**
 * Rights, owner and row security changed on one of the two tables alone: a rollback would undo a REVOKE in silence, or
 * shut somebody out.
 */
function rightsApart(before: Window, now: Window, { names }: Plan): string[] {
  // One grantor may stand for another on the new table (consequence grantor-changed): the right itself counts.
  const rights = ({ lines }: Fingerprint): Fingerprint => ({
    lines: lines
      .filter((line) => /^(grant|owner|row security) /.test(line))
      .map((line) => line.replace(/ by ("(?:[^"]|"")*"|\S+)( with grant option)?$/, "$2")),
  });
  const changes = (side: keyof Window) => diffFingerprints(rights(before[side]), rights(now[side]));
  const [live, retired] = [changes("live"), changes("retired")];
  const alone = (these: string[], those: string[], on: string, other: string) =>
    these
      .filter((line) => !those.includes(line))
      .map(
        (line) => `rights were changed on ${on} alone since cutover (${line}): change them on ${other} too`,
      );
  return [
    ...alone(live, retired, "the new table", names.retired),
    ...alone(retired, live, "the retired table", names.source),
  ];
}

export interface ByName {
  rows: number;
  /** The first few. */
  keys: string[];
  truncated: boolean;
}

/** Keys that are named. */
const NAMED = 3;

/**
 * What somebody wrote to the retired table under its own name, as its forward triggers logged it; null: nothing.
 * Partway's own writes are not logged.
 */
export async function writtenByName(session: Session, plan: Plan): Promise<ByName | null> {
  const { log } = sidesOf(plan, "forward");
  const key = plan.key.map((c) => `l.${ident(c.name)}::text`).join(" || ', ' || ");
  const found = await session.rows(
    z.object({ key: z.string().nullable(), op: z.string(), rows: z.coerce.number() }),
    `SELECT ${key} AS key, l.partway_op::text AS op, (SELECT count(*)::text FROM (SELECT FROM ${log} LIMIT ${CAP}) AS c) AS rows
       FROM ${log} AS l ORDER BY l.partway_op = 't' DESC, l.partway_seq LIMIT ${NAMED + 1}`,
  );
  const [first] = found;
  if (first === undefined) return null;
  const keys = found.flatMap((row) => (row.op === "r" && row.key !== null ? [row.key] : []));
  return { rows: first.rows, keys: [...new Set(keys)].slice(0, NAMED), truncated: first.op === "t" };
}

/** The same in words, with what mends it. */
export function byName({ id, names }: Plan, { rows, keys, truncated }: ByName): string {
  const what = truncated
    ? "truncated"
    : `written to (${rows} changes; ${keys.map((k) => `key ${k}`).join(", ")})`;
  return `somebody has ${what} the retired table ${names.schema}.${names.retired} by its name since cutover; partway resume ${id} --repair makes it follow the new table again`;
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

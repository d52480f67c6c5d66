/**
 * Comparing the two sides (DESIGN 3.5): count and an order-independent hash of every column, on both sides, inside one
 * exported snapshot shared by the workers, leaving out on both sides the pairs that the change log holds in it. Both
 * tables and the log are locked in ACCESS SHARE before the snapshot: one older than a TRUNCATE or a rewrite sees nothing.
 */
import { z } from "zod";
import { literal } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import type { Plan } from "../plan/types.js";
import { TruncateSeen } from "./apply.js";
import { type LeafRow, leavesOf } from "./leaves.js";
import { type Direction, notLogged, type Sides, sidesOf } from "./pairs.js";
import { runPool } from "./pool.js";
import { rowHash } from "./rowhash.js";

export interface Sum {
  rows: number;
  /** Sum of row hashes: a whole number too big for JavaScript, as text. Sum, not xor: equal duplicates cancel in xor. */
  hash: string;
}

export interface Comparison {
  direction: Direction;
  equal: boolean;
  live: Sum;
  lagging: Sum;
  /** Pairs left out because the change log holds them. */
  excluded: number;
  /** Per leaf sums of the partitioned side, by leaf OID. */
  leaves: Map<string, Sum>;
  ms: number;
}

/** One table to sum: its quoted name, the alias-free condition that picks a piece of it, and which side it belongs to. */
interface Piece {
  side: "partitioned" | "plain";
  table: string;
  where: string;
  leaf: string | null;
}

/**
 * `count, sum` of a piece without the logged pairs. `isLogEmpty`: in this snapshot there are none; PostgreSQL looks for
 * them at each row all the same (a nested loop over a log of no pages), which took as long as the hashing.
 */
export function sumSql(plan: Plan, sides: Sides, table: string, where: string, isLogEmpty = false): string {
  const free = isLogEmpty ? "" : ` AND ${notLogged(plan, sides)}`;
  return `SELECT /* partway compare */ count(*)::text AS rows, coalesce(sum(${rowHash(plan.source.columns, "s")}), 0)::text AS hash
  FROM ONLY ${table} AS s
 WHERE ${where}${free}`;
}

/** --workers says how many connections compare; each with parallel workers was six processes on two processors. */
const ALONE = "SET LOCAL max_parallel_workers_per_gather = 0";

const BLOCKS_SQL = /*sql*/ `
SELECT (pg_relation_size($1::regclass) / current_setting('block_size')::bigint)::text AS blocks`;

/** Contiguous pieces of a plain table: `count` ctid ranges, the last one open-ended. */
function pieces(blocks: number, count: number): string[] {
  const size = Math.max(1, Math.ceil(blocks / count));
  const result: string[] = [];
  for (let from = 0; result.length === 0 || from < blocks; from += size) {
    const last = from + size >= blocks;
    result.push(`s.ctid >= '(${from},0)'::tid${last ? "" : ` AND s.ctid < '(${from + size},0)'::tid`}`);
  }
  return result;
}

/**
 * A change log that is filled after the changes themselves: what a snapshot sees of the live side may not be in the log
 * that it sees. `gather` brings the log of a later moment to every session, and gives the name it has there.
 */
export interface Late {
  /** Before the session's transaction. */
  prepare(session: Session): Promise<void>;
  gather(sessions: Session[]): Promise<string>;
}

/** Runs `work` with sessions that share one snapshot, taken under ACCESS SHARE locks on both sides and the log. */
export async function onSharedSnapshot<T>(
  open: () => Promise<Session>,
  workers: number,
  sides: Sides,
  work: (sessions: Session[], sides: Sides) => Promise<T>,
  late?: Late,
): Promise<T> {
  const sessions: Session[] = [];
  try {
    const first = await open();
    sessions.push(first);
    await late?.prepare(first);
    await first.begin({ isolation: "repeatable read", readOnly: true });
    await first.query(`LOCK TABLE ${sides.live}, ${sides.lagging}, ${sides.log} IN ACCESS SHARE MODE`);
    const { name } = await first.one(z.object({ name: z.string() }), "SELECT pg_export_snapshot() AS name");
    while (sessions.length < Math.max(1, workers)) {
      const session = await open();
      sessions.push(session);
      await late?.prepare(session);
      await session.begin({ isolation: "repeatable read", readOnly: true });
      await session.query(`SET TRANSACTION SNAPSHOT ${literal(name)}`);
    }
    return await work(sessions, late === undefined ? sides : { ...sides, log: await late.gather(sessions) });
  } finally {
    for (const session of sessions) {
      await session.rollback();
      await session.end();
    }
  }
}

export interface CompareOptions {
  plan: Plan;
  direction: Direction;
  /** OID of the partitioned table. */
  partitionedOid: string;
  workers: number;
  open(): Promise<Session>;
  gate(): Promise<void>;
  late?: Late | undefined;
  /** Told how far it is. */
  watch?: CompareWatch;
}

/** Who looks on while two sides are compared. */
export interface CompareWatch {
  /** The leaves, and how many pieces both sides have together. */
  begins(leaves: LeafRow[], pieces: number): void;
  /** The backend `pid` reads a piece: the leaf at that place of the leaves, or null for a part of the plain table. */
  reads(pid: number, leaf: number | null): void;
  /** It has read it. */
  read(pid: number, leaf: number | null, rows: number): void;
}

const SumRow = z.object({ rows: z.coerce.number(), hash: z.string() });

/** Compares the two sides on one snapshot. */
export async function compareSides(options: CompareOptions): Promise<Comparison> {
  const { plan, direction } = options;
  const started = performance.now();
  const compare = async (sessions: Session[], sides: Sides): Promise<Comparison> => {
    const plain = direction === "forward" ? sides.live : sides.lagging;
    const [first] = sessions;
    if (first === undefined) throw new Error("no session to compare with");
    const { blocks } = await first.one(z.object({ blocks: z.coerce.number() }), BLOCKS_SQL, [plain]);
    const leaves = await leavesOf(first, options.partitionedOid);
    const excluded = await first.one(
      z.object({ n: z.coerce.number(), markers: z.coerce.number() }),
      `SELECT count(*)::text AS n, (count(*) FILTER (WHERE partway_op = 't'))::text AS markers FROM ${sides.log}`,
    );
    // Truncated after the last drain: the sides differ until the lagging one is rebuilt. No difference to report.
    if (excluded.markers > 0) throw new TruncateSeen("the live side was truncated");
    const tasks: Piece[] = [
      ...pieces(blocks, options.workers * 4).map((where) => ({
        side: "plain" as const,
        table: plain,
        where,
        leaf: null,
      })),
      ...leaves.map((leaf) => ({
        side: "partitioned" as const,
        table: leaf.table,
        where: "true",
        leaf: leaf.oid,
      })),
    ];
    options.watch?.begins(leaves, tasks.length);
    const isLogEmpty = excluded.n === 0;
    for (const session of sessions) await session.query(ALONE);
    const placeOf = new Map(leaves.map((leaf, at) => [leaf.oid, at]));
    const totals = { plain: { rows: 0, hash: 0n }, partitioned: { rows: 0, hash: 0n } };
    const perLeaf = new Map<string, Sum>();
    // Not throttled: the snapshot is open, and whoever rests with it keeps VACUUM from its work.
    const before = () => options.gate();
    await runPool(sessions, tasks, before, async (session, piece) => {
      const place = piece.leaf === null ? null : (placeOf.get(piece.leaf) ?? null);
      options.watch?.reads(session.pid, place);
      const sum = await session.one(SumRow, sumSql(plan, sides, piece.table, piece.where, isLogEmpty));
      options.watch?.read(session.pid, place, sum.rows);
      totals[piece.side].rows += sum.rows;
      totals[piece.side].hash += BigInt(sum.hash);
      if (piece.leaf !== null) perLeaf.set(piece.leaf, sum);
    });
    const asSum = (t: { rows: number; hash: bigint }): Sum => ({ rows: t.rows, hash: t.hash.toString() });
    const plainSum = asSum(totals.plain);
    const partitionedSum = asSum(totals.partitioned);
    return {
      direction,
      equal: plainSum.rows === partitionedSum.rows && plainSum.hash === partitionedSum.hash,
      live: direction === "forward" ? plainSum : partitionedSum,
      lagging: direction === "forward" ? partitionedSum : plainSum,
      excluded: excluded.n,
      leaves: perLeaf,
      ms: performance.now() - started,
    };
  };
  return onSharedSnapshot(options.open, options.workers, sidesOf(plan, direction), compare, options.late);
}

/** The leaves whose sum differs from the plain side's rows of that leaf. One scan of the plain side. */
export async function differingLeaves(
  session: Session,
  plan: Plan,
  sides: Sides,
  leaves: LeafRow[],
  sums: Map<string, Sum>,
): Promise<LeafRow[]> {
  const plain = sides.direction === "forward" ? sides.live : sides.lagging;
  const branches = leaves.map((leaf, i) => `WHEN ${leaf.constraint} THEN ${i}`).join(" ");
  const rows = await session.rows(
    z.object({ leaf: z.coerce.number().nullable(), rows: z.coerce.number(), hash: z.string() }),
    `SELECT leaf::text AS leaf, count(*)::text AS rows, sum(h)::text AS hash
       FROM (SELECT CASE ${branches} END AS leaf, ${rowHash(plan.source.columns, "s")} AS h
               FROM ONLY ${plain} AS s
              WHERE ${notLogged(plan, sides)}) AS x GROUP BY 1`,
  );
  const found = new Map(rows.map((row) => [row.leaf, row]));
  return leaves.filter((leaf, i) => {
    const ours = sums.get(leaf.oid) ?? { rows: 0, hash: "0" };
    const theirs = found.get(i) ?? { rows: 0, hash: "0" };
    return ours.rows !== theirs.rows || ours.hash !== theirs.hash;
  });
}

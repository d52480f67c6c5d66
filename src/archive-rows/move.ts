/**
 * The move itself. A batch is one statement: what is deleted is what is inserted, so that a row is in exactly one of the
 * two tables whatever happens, and a view over both shows it once. Both sides are counted before it is committed, since a
 * trigger of the archive may let a row vanish. Rows that somebody has locked are left for later.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { PartwayError } from "../errors.js";
import { ident, identList, literal } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import type { Part, Relation } from "./facts.js";
import { shown } from "./judge.js";

export interface Move {
  source: Relation;
  /** Quoted. */
  archive: string;
  parts: readonly Part[];
  column: string;
  /** In the column's own type, as text. */
  before: string;
  batch: number;
  pauseMs: number;
  signal: AbortSignal;
  /** After each batch: rows moved in all. */
  onBatch(moved: number): void;
}

/** Blocks that are searched at a time where no index finds the old rows: what was deleted is not read again and again. */
const WINDOW = 1024;
const Both = z.object({ moved: z.coerce.number(), kept: z.coerce.number() });

/** Looks at rows that others have locked, with a second in between. */
const WAITS = 10;

export const ARCHIVE_SQL = {
  batch: (move: Pick<Move, "source" | "archive" | "column" | "batch">, part: Part, window: string) => {
    const { source, archive, column, batch } = move;
    const table = shown(part);
    const columns = identList(source.columns.map(({ name }) => name));
    const type = source.columns.find(({ name }) => name === column)?.type ?? "";
    const order = part.indexed ? ` ORDER BY ${ident(column)}` : "";
    return `WITH picked AS MATERIALIZED (SELECT ctid FROM ONLY ${table} WHERE ${ident(column)} < $1::${type}${window}${order} LIMIT ${batch} FOR UPDATE SKIP LOCKED),
moved AS (DELETE FROM ONLY ${table} AS gone USING picked WHERE gone.ctid = picked.ctid RETURNING gone.*),
kept AS (INSERT INTO ${archive} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM moved RETURNING 1)
SELECT (SELECT count(*) FROM moved)::text AS moved, (SELECT count(*) FROM kept)::text AS kept`;
  },
  count: (source: Relation, column: string) => {
    const type = source.columns.find(({ name }) => name === column)?.type ?? "";
    return `SELECT count(*)::text AS n FROM ${shown(source)} WHERE ${ident(column)} < $1::${type}`;
  },
} as const;

export async function countOld(
  session: Session,
  source: Relation,
  column: string,
  before: string,
): Promise<number> {
  const { n } = await session.one(z.object({ n: z.coerce.number() }), ARCHIVE_SQL.count(source, column), [
    before,
  ]);
  return n;
}

/**
 * Moves until there is nothing left, or the signal. Gives the rows moved. Errors: `refused` where another table still
 * needs a row, or the archive does not keep one; `lock-busy` when rows stay locked by others; batches that were committed stay.
 */
export async function moveRows(session: Session, move: Move): Promise<number> {
  let moved = 0;
  for (let waits = 0; ; ) {
    let sweep = 0;
    for (const part of move.parts)
      for (const window of windowsOf(part)) {
        for (;;) {
          if (move.signal.aborted) return moved;
          const count = await batchOf(session, move, part, window, moved);
          sweep += count;
          moved += count;
          if (count > 0) move.onBatch(moved);
          if (count > 0 && move.pauseMs > 0) await pause(move.pauseMs, move.signal);
          if (count < move.batch) break;
        }
      }
    const left = await countOld(session, move.source, move.column, move.before);
    if (left === 0 || move.signal.aborted) return moved;
    if (sweep > 0) waits = 0;
    else if (++waits > WAITS) throw locked(move, left, moved);
    else await pause(1000, move.signal);
  }
}

/** The end of the last window is open: the table may have grown. */
function windowsOf({ blocks, indexed }: Part): string[] {
  if (indexed) return [""];
  const from = Array.from({ length: Math.max(1, Math.ceil(blocks / WINDOW)) }, (_, n) => n * WINDOW);
  return from.map((block, at) => {
    const lower = ` AND ctid >= ${literal(`(${block},0)`)}`;
    return at === from.length - 1 ? lower : `${lower} AND ctid < ${literal(`(${block + WINDOW},0)`)}`;
  });
}

async function batchOf(
  session: Session,
  move: Move,
  part: Part,
  window: string,
  moved: number,
): Promise<number> {
  try {
    return await session.tx(async () => {
      const count = await session.one(Both, ARCHIVE_SQL.batch(move, part, window), [move.before]);
      if (count.kept !== count.moved) throw swallowed(move, count, moved);
      return count.moved;
    });
  } catch (error) {
    if (sqlState(error) !== SQLSTATE.foreignKeyViolation) throw error;
    const detail = z.object({ message: z.string(), detail: z.string().optional() }).parse(error);
    throw new PartwayError(
      "refused",
      {
        what: `a row that is to be moved is still needed: ${detail.message}${detail.detail === undefined ? "" : ` (${detail.detail})`}`,
        state: `Its batch was rolled back whole; ${moved} rows are in the archive.`,
        next: "Remove or move what refers to it, then the same command again.",
      },
      { cause: error },
    );
  }
}

function swallowed({ archive }: Move, count: z.output<typeof Both>, moved: number): PartwayError {
  return new PartwayError("refused", {
    what: `of ${count.moved} rows that a batch would move, ${archive} would have kept ${count.kept}: a trigger there lets the others vanish`,
    state: `The batch was rolled back whole: its rows are in the table. ${moved} rows were moved before it.`,
    next: `See the triggers of the archive (\\d ${archive}), drop or disable the one that returns NULL, then the same command again.`,
  });
}

function locked({ source }: Move, left: number, moved: number): PartwayError {
  return new PartwayError("lock-busy", {
    what: `${left} old rows of ${shown(source)} are locked by other transactions`,
    state: `${moved} rows were moved; the others are in the table, untouched.`,
    next: "When those transactions have ended: the same command again.",
  });
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

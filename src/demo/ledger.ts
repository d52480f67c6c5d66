/**
 * The exact ledger: for every key the writer touched, the last committed row; for all other rows, their count and the
 * sum of their hashes per range of ids, taken once before the writer began.
 */
import { z } from "zod";
import { qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { IMAGE, imageHash, type TableName } from "./orders.js";

/** Ids are summed up in ranges of this many: small enough to say where a difference is. */
const RANGE = 10_000;

interface Sum {
  rows: number;
  hash: bigint;
}

export const BaselineRow = z.object({ range: z.string(), rows: z.string(), hash: z.string() });
export type BaselineRow = z.infer<typeof BaselineRow>;

/** Count and hash per range of ids, of the table as it stands; $-free, for any client. */
export function baselineSql(table: TableName, where = "true"): string {
  return /*sql*/ `
    SELECT (t.id / ${RANGE})::text AS range, count(*)::text AS rows, sum(${imageHash(IMAGE)})::text AS hash
    FROM ${qualified(table.schema, table.name)} AS t WHERE ${where} GROUP BY t.id / ${RANGE}`;
}

export class Ledger {
  /** Rows with an id up to this were there before the writer began. */
  readonly maxInitial: number;
  /** What the rows nobody touched must still add up to, per range. */
  readonly #untouched: Map<number, Sum>;
  /** key -> image of the last committed row, null: no such row. */
  readonly #rows = new Map<number, string | null>();

  constructor(baseline: readonly BaselineRow[], maxInitial: number) {
    this.#untouched = sums(baseline);
    this.maxInitial = maxInitial;
  }

  /** The last committed row of a touched key; undefined for a key nobody touched. */
  get(key: number): string | null | undefined {
    return this.#rows.get(key);
  }

  /** The key's first touch: what was read leaves the untouched part. `hash` is the server's hash of `image`. */
  meet(key: number, image: string | null, hash: string | null): void {
    this.#rows.set(key, image);
    if (image === null || hash === null) return;
    const range = Math.floor(key / RANGE);
    const sum = this.#untouched.get(range) ?? { rows: 0, hash: 0n };
    this.#untouched.set(range, { rows: sum.rows - 1, hash: sum.hash - BigInt(hash) });
  }

  /** A commit made this the key's row. */
  set(key: number, image: string | null): void {
    this.#rows.set(key, image);
  }

  get touched(): ReadonlyMap<number, string | null> {
    return this.#rows;
  }

  get untouched(): ReadonlyMap<number, Sum> {
    return this.#untouched;
  }
}

export interface LedgerComparison {
  equal: boolean;
  /** Rows the ledger has and the table has not. */
  lost: number;
  /** Rows the table has and the ledger has not, second rows of one id included. */
  extra: number;
  /** Rows with other values; among untouched rows, the number of id ranges where that was found. */
  changed: number;
  /** Up to 20 differences, for a person. */
  examples: string[];
}

const Difference = z.object({
  id: z.string(),
  expected: z.string().nullable(),
  actual: z.string().nullable(),
});

/**
 * Compares the table with the ledger, every row and every value, on one snapshot. The writer must be stopped or
 * paused. Needs the right to create temporary tables.
 */
export async function compareWithLedger(
  session: Session,
  table: TableName,
  report: { ledger: Ledger },
): Promise<LedgerComparison> {
  const { ledger } = report;
  return session.tx(async () => {
    await loadLedger(session, ledger);
    const untouched = await session.rows(
      BaselineRow,
      baselineSql(
        table,
        `t.id <= ${ledger.maxInitial} AND NOT EXISTS (SELECT FROM pg_temp.partway_ledger AS l WHERE l.id = t.id)`,
      ),
    );
    const touched = await session.rows(Difference, differenceSql(table, ledger.maxInitial));
    const found = { lost: 0, extra: 0, changed: 0, examples: [] as string[] };
    for (const { id, expected, actual } of touched) {
      if (actual === null) found.lost++;
      else if (expected === null) found.extra++;
      else found.changed++;
      found.examples.push(`id ${id}: must be ${expected ?? "no row"}, is ${actual ?? "no row"}`);
    }
    compareUntouched(ledger.untouched, sums(untouched), found);
    return {
      ...found,
      equal: found.lost + found.extra + found.changed === 0,
      examples: found.examples.slice(0, 20),
    };
  });
}

async function loadLedger(session: Session, ledger: Ledger): Promise<void> {
  await session.query("CREATE TEMPORARY TABLE partway_ledger (id bigint, image text) ON COMMIT DROP");
  const entries = [...ledger.touched];
  for (let at = 0; at < entries.length; at += 5_000) {
    const slice = entries.slice(at, at + 5_000);
    const alive = slice.filter((entry): entry is [number, string] => entry[1] !== null);
    await session.query(
      /*sql*/ `
      INSERT INTO pg_temp.partway_ledger
      SELECT * FROM unnest($1::bigint[], $2::text[]) UNION ALL SELECT unnest($3::bigint[]), NULL`,
      [
        alive.map(([key]) => String(key)),
        alive.map(([, image]) => image),
        slice.filter(([, image]) => image === null).map(([key]) => String(key)),
      ],
    );
  }
  await session.query("ANALYZE pg_temp.partway_ledger");
}

/** Touched keys and everything newer than the baseline, against the ledger. The n-th row of one id (n > 1) is extra. */
function differenceSql(table: TableName, maxInitial: number): string {
  const from = qualified(table.schema, table.name);
  return /*sql*/ `
    WITH rows AS (
      SELECT t.id, ${IMAGE} AS image FROM ${from} AS t WHERE t.id > ${maxInitial}
      UNION ALL
      SELECT t.id, ${IMAGE} FROM ${from} AS t JOIN pg_temp.partway_ledger AS l ON l.id = t.id
      WHERE t.id <= ${maxInitial}
    ), numbered AS (
      SELECT id, image, row_number() OVER (PARTITION BY id ORDER BY image) AS n FROM rows
    ), expected AS (SELECT id, image, 1 AS n FROM pg_temp.partway_ledger)
    SELECT coalesce(a.id, e.id)::text AS id, e.image AS expected, a.image AS actual
    FROM expected AS e FULL JOIN numbered AS a ON a.id = e.id AND a.n = e.n
    WHERE e.image IS DISTINCT FROM a.image
    ORDER BY coalesce(a.id, e.id)`;
}

function compareUntouched(
  expected: ReadonlyMap<number, Sum>,
  actual: ReadonlyMap<number, Sum>,
  found: { lost: number; extra: number; changed: number; examples: string[] },
): void {
  for (const range of new Set([...expected.keys(), ...actual.keys()])) {
    const must = expected.get(range) ?? { rows: 0, hash: 0n };
    const is = actual.get(range) ?? { rows: 0, hash: 0n };
    if (must.rows === is.rows && must.hash === is.hash) continue;
    if (is.rows < must.rows) found.lost += must.rows - is.rows;
    else if (is.rows > must.rows) found.extra += is.rows - must.rows;
    else found.changed++;
    const ids = `ids ${range * RANGE} to ${(range + 1) * RANGE - 1}`;
    found.examples.push(
      is.rows === must.rows
        ? `${ids}, rows the writer never touched: ${must.rows} as before, but values differ`
        : `${ids}, rows the writer never touched: must be ${must.rows}, are ${is.rows}`,
    );
  }
}

function sums(rows: readonly BaselineRow[]): Map<number, Sum> {
  return new Map(rows.map((row) => [Number(row.range), { rows: Number(row.rows), hash: BigInt(row.hash) }]));
}

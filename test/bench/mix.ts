/** What the writers of the bench do: an application's single-row statements, one transaction each. */
import type pg from "pg";
import type { Random } from "../../src/demo/random.js";

/** Named: prepared once on each connection, as an ORM's are. */
export interface Statement {
  name: string;
  text: string;
  values: (number | string)[];
}

/** A row that stood in the table when the writers began. */
export interface Known {
  id: string;
  created_at: string;
}

const INSERT = /*sql*/ `
INSERT INTO public.orders (created_at, customer_id, status, amount, note) VALUES (clock_timestamp(), $1, $2, $3, $4)`;
const UPDATE = /*sql*/ `UPDATE public.orders SET status = $2, amount = amount + 1, updated_at = now() WHERE id = $1`;
const DELETE = /*sql*/ `DELETE FROM public.orders WHERE id = $1`;

/** `both`: by primary key and partition key, so that the server looks into one leaf; `id`: into each of them. */
export type By = "both" | "id";
const AND_KEY: Record<By, (n: number) => string> = { both: (n) => ` AND created_at = $${n}`, id: () => "" };

const STATUS = ["new", "paid", "sent", "returned"] as const;
const NOTE = "x".repeat(100);
/** Rows that the writers know, spread over the whole table. */
const KNOWN = 50_000;

/** The rows that will be changed and deleted, in the order of the heap. */
export async function knownRows(client: pg.Client, rows: number): Promise<Known[]> {
  const { rows: known } = await client.query<Known>(
    `SELECT id::text, created_at::text FROM public.orders
      WHERE id = ANY (ARRAY(SELECT generate_series(1, $1::bigint, greatest(1, $1::bigint / $2::bigint))))`,
    [rows, KNOWN],
  );
  return known;
}

/** 40 % new rows, 55 % changes and 5 % deletes of rows all over the table. */
export function nextStatement(random: Random, known: readonly Known[], by: By): Statement {
  const kind = random.below(100);
  const status = STATUS[random.below(STATUS.length)] ?? "new";
  const row = known[random.below(known.length)];
  if (kind < 40 || row === undefined)
    return {
      name: "insert",
      text: INSERT,
      values: [random.below(100_000), status, random.below(1_000), NOTE],
    };
  const key = by === "both" ? [row.created_at] : [];
  if (kind < 95) return { name: "update", text: UPDATE + AND_KEY[by](3), values: [row.id, status, ...key] };
  return { name: "delete", text: DELETE + AND_KEY[by](2), values: [row.id, ...key] };
}

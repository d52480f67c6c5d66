/** What the writers of the bench do: an application's single-row statements, one transaction each, by primary key. */
import type { Random } from "../../src/demo/random.js";

/** Named: prepared once on each connection, as an ORM's are. */
export interface Statement {
  name: string;
  text: string;
  values: (number | string)[];
}

const INSERT = /*sql*/ `
INSERT INTO public.orders (created_at, customer_id, status, amount, note) VALUES (clock_timestamp(), $1, $2, $3, $4)`;
const UPDATE = /*sql*/ `UPDATE public.orders SET status = $2, amount = amount + 1, updated_at = now() WHERE id = $1`;
const DELETE = /*sql*/ `DELETE FROM public.orders WHERE id = $1`;

const STATUS = ["new", "paid", "sent", "returned"] as const;
const NOTE = "x".repeat(100);

/** 40 % new rows, 55 % changes and 5 % deletes of any of the table's first `rows` rows. */
export function nextStatement(random: Random, rows: number): Statement {
  const id = 1 + random.below(rows);
  const kind = random.below(100);
  const status = STATUS[random.below(STATUS.length)] ?? "new";
  if (kind < 40)
    return {
      name: "insert",
      text: INSERT,
      values: [random.below(100_000), status, random.below(1_000), NOTE],
    };
  if (kind < 95) return { name: "update", text: UPDATE, values: [id, status] };
  return { name: "delete", text: DELETE, values: [id] };
}

/** Rows with structure: PostgreSQL builds one JSON object a row, zod says what it is. */
import { z } from "zod";
import type { Param, Session } from "../pg/session.js";

/**
 * Runs `sql` (a SELECT whose column names are the field names) and parses each row by `schema`. The rows keep the
 * order of the query. Large integers must be cast to text in `sql`: JSON numbers lose digits beyond 2^53.
 */
export async function jsonRows<T>(
  session: Session,
  schema: z.ZodType<T>,
  sql: string,
  params: readonly Param[],
): Promise<T[]> {
  const row = z.object({ info: z.string() });
  const found = await session.rows(row, `SELECT row_to_json(q)::text AS info FROM (${sql}) AS q`, params);
  return found.map(({ info }) => {
    const value: unknown = JSON.parse(info);
    return schema.parse(value);
  });
}

/** The statements that take a leaf's rows out and bring them in, as CSV with a header. */
import { dataColumns } from "../backup/manifest.js";
import type { ColumnInfo } from "../catalog/types.js";
import { identList, literal, qualified } from "../pg/quote.js";

interface Table {
  schema: string;
  name: string;
  columns: readonly ColumnInfo[];
}

/** Money is printed, and read, as its locale has it: the database that it comes back to may have another one. */
export const MONEY_SQL = "SET LOCAL lc_monetary = 'C'";

/** In the server's own encoding, so that nothing is converted. NULL is nothing, the empty string is "". */
const format = (encoding: string) => `(FORMAT csv, HEADER true, ENCODING ${literal(encoding)})`;

export function csvOutSql({ schema, name, columns }: Table, encoding: string): string {
  const rows = `SELECT ${identList(dataColumns(columns))} FROM ONLY ${qualified(schema, name)}`;
  return `COPY (${rows}) TO STDOUT ${format(encoding)}`;
}

/** COPY may write the columns of GENERATED ALWAYS AS IDENTITY. */
export function csvInSql({ schema, name, columns }: Table, encoding: string): string {
  return `COPY ${qualified(schema, name)} (${identList(dataColumns(columns))}) FROM STDIN ${format(encoding)}`;
}

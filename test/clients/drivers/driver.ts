/** What every client of the application does here, each in its own library's words, on one connection it never gives up. */

/** A row as the application wrote it; `at` is ISO 8601 with milliseconds, which every library carries. */
export interface Row {
  note: string;
  amount: string;
  at: string;
}

export interface Driver {
  /** The server process behind the connection: another one afterwards would be a reconnect. */
  pid(): Promise<number>;
  /** INSERT ... RETURNING; the new row's id. */
  insert(row: Row): Promise<string>;
  /** SELECT * by id. */
  read(id: string): Promise<Row | null>;
  /** How many rows it changed. */
  update(id: string, note: string): Promise<number>;
  /** Changes the partition column: after cutover the row goes to another leaf. */
  move(id: string, at: string): Promise<number>;
  remove(id: string): Promise<number>;
  close(): Promise<void>;
}

export type Open = (url: string) => Promise<Driver>;

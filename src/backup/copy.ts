/** Partway's own backup, where no pg_dump is new enough: COPY's text format through gzip, in constant memory. */
import { createReadStream, createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import { badInput } from "../errors.js";
import type { Session } from "../pg/session.js";
import { errnoOf, FILE_MODE, fileFault } from "./files.js";
import { counted } from "./rows.js";

/**
 * Runs `sql` (COPY ... TO STDOUT) on `session` into `path`, gzipped. Gives the rows written. After an
 * error the session is closed. Errors: refused (disk full), bad-input (cannot write).
 */
export async function writeCopy(options: {
  session: Session;
  sql: string;
  path: string;
  signal: AbortSignal;
  onProgress: (sofar: { rows: number }) => void;
}): Promise<number> {
  let rows = 0;
  try {
    await pipeline(
      options.session.copyOut(options.sql),
      (chunks: AsyncIterable<Buffer | string>) =>
        counted(chunks, (sofar) => {
          rows = sofar.rows;
          options.onProgress(sofar);
        }),
      createGzip(),
      createWriteStream(options.path, { mode: FILE_MODE }),
      { signal: options.signal },
    );
  } catch (error) {
    // A COPY that nobody reads any more blocks its connection: not even a ROLLBACK would get through.
    await options.session.end();
    throw fileFault(error, options.path);
  }
  return rows;
}

/** The rows in `path`, handed to `sink` as they are read. Errors: bad-input when it is not whole gzip; what `sink` throws. */
export async function readCopy(options: {
  path: string;
  signal: AbortSignal;
  sink: (rows: AsyncIterable<Buffer>) => Promise<void>;
}): Promise<void> {
  try {
    await pipeline(createReadStream(options.path), createGunzip(), options.sink, { signal: options.signal });
  } catch (error) {
    const code = errnoOf(error);
    if (code === null || !code.startsWith("Z_")) throw error;
    throw badInput(
      `${options.path} is damaged: gzip says ${code}`,
      "Use another backup, or make a new one.",
      error,
    );
  }
}

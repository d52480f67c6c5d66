/** How much disk the two tables take in the retention window. */
import { z } from "zod";
import { setLocal } from "../pg/locks.js";
import { ConnectionLost, type Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";

export interface WindowSizes {
  liveBytes?: number;
  retiredBytes?: number;
}

/** A thousand leaves with their indexes are some ten thousand files to look at: not every second. */
const EVERY_MS = 30_000;
/** Somebody's DDL may hold a leaf: the window's countdown does not wait for it. */
const LOCK_MS = 100;

const SQL = /*sql*/ `
SELECT pg_total_relation_size($1::oid)::text AS retired,
       (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree($2::oid::regclass) WHERE isleaf)::text AS live`;

const Row = z.object({ retired: z.coerce.number().nullable(), live: z.coerce.number().nullable() });

export class SizeReader {
  #at = Number.NEGATIVE_INFINITY;
  #known: WindowSizes = {};

  /** Bytes with indexes and TOAST, read again every half minute; what the server does not let be read is left out. */
  async read(session: Session, retiredOid: string, newOid: string | null): Promise<WindowSizes> {
    const now = performance.now();
    if (newOid === null || now - this.#at < EVERY_MS) return this.#known;
    this.#at = now;
    try {
      this.#known = await session.tx(
        async () => {
          await setLocal(session, "lock_timeout", LOCK_MS);
          const { retired, live } = await session.one(Row, SQL, [retiredOid, newOid]);
          return {
            ...(live === null ? {} : { liveBytes: live }),
            ...(retired === null ? {} : { retiredBytes: retired }),
          };
        },
        { readOnly: true },
      );
    } catch (error) {
      // Nobody needs it: what the server says against it (a lock, a right, a full disk) ends no window.
      const state = sqlState(error);
      if (error instanceof ConnectionLost || state === null || state === SQLSTATE.queryCanceled) throw error;
      this.#known = {};
    }
    return this.#known;
  }
}

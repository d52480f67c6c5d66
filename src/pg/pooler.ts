/**
 * A transaction pooler between Partway and the server breaks session features (advisory locks, SET): detected by
 * making it hand one client's backend to another (DESIGN 3.9).
 */
import { z } from "zod";
import type { Refusal } from "../plan/types.js";
import type { Session } from "./session.js";

const Pid = z.object({ pid: z.string() });
const PID_SQL = /*sql*/ `SELECT pg_backend_pid()::text AS pid`;

/**
 * A refusal when `session` does not keep its backend between transactions. While a second connection holds whatever
 * backend was free in an open transaction, a pooled session has to answer from another one.
 */
export async function poolerRefusal(session: Session, open: () => Promise<Session>): Promise<Refusal[]> {
  const other = await open();
  try {
    await other.begin({ readOnly: true });
    const theirs = await other.one(Pid, PID_SQL);
    const ours = await session.one(Pid, PID_SQL);
    const moved =
      Number(ours.pid) !== session.pid || theirs.pid === ours.pid || Number(theirs.pid) !== other.pid;
    if (!moved) return [];
    return [
      {
        code: "transaction-pooler",
        what: "the connection goes through a pooler in transaction mode: this session's backend changed between transactions",
        why: "the lease, SET and LOCK of a migration belong to one backend; behind such a pooler they get lost",
        remedy:
          "Point --url at PostgreSQL itself (often port 5432 instead of 6432), or at a pool in session mode.",
      },
    ];
  } finally {
    await other.rollback();
    await other.end();
  }
}

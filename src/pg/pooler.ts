/**
 * A transaction pooler between Partway and the server breaks session features (advisory locks, SET): detected by
 * making it hand one client's backend to another (DESIGN 3.9). Asked of every connection before anything is set on it:
 * what one client sets on a shared backend the application's next transaction finds there.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { z } from "zod";
import { PartwayError } from "../errors.js";
import type { Refusal } from "../plan/types.js";
import type { Session } from "./session.js";

const Pid = z.object({ pid: z.string() });
const PID_SQL = /*sql*/ `SELECT pg_backend_pid()::text AS pid`;

const REFUSAL: Refusal = {
  code: "transaction-pooler",
  what: "the connection goes through a pooler in transaction mode: this session's backend changed between transactions",
  why: "the lease, SET and LOCK of a migration belong to one backend; behind such a pooler they get lost",
  remedy: "Point --url at PostgreSQL itself (often port 5432 instead of 6432), or at a pool in session mode.",
};

/** Other clients that try to get this one's backend, each in an open transaction. */
const RIVALS = 3;

/** A backend of one's own answers at once; one that others hold does not. */
const ANSWER_MS = 5000;

/** What the server told at login, which a pooler makes up: it gives every client a number of its own. */
export function claimedPid(client: pg.Client): number {
  return Number(Reflect.get(client, "processID"));
}

/**
 * Throws `refused` when `client`, whose first statement was answered by backend `pid`, does not keep it: when another
 * client's open transaction gets the same backend, or this one is answered by another, or by none because all are in
 * use. `connect` makes the other clients.
 */
export async function assertOwnBackend(
  client: pg.Client,
  pid: number,
  connect: () => pg.Client,
): Promise<void> {
  const rivals: pg.Client[] = [];
  try {
    while (rivals.length < RIVALS) {
      const rival = connect();
      // Its fate is told by the promises; without a listener an error event would end the process.
      rival.on("error", (error) => void error);
      rivals.push(rival);
      const theirs = await within(begin(rival));
      // A pool of sessions that is used up: no proof of anything.
      if (theirs === null) return;
      const ours = await within(pidOf(client));
      if (theirs !== pid && ours === pid) continue;
      throw new PartwayError("refused", {
        what: `${REFUSAL.what}; ${REFUSAL.why}`,
        state: "Nothing was touched.",
        next: REFUSAL.remedy,
      });
    }
  } finally {
    await Promise.allSettled(rivals.map((rival) => within(rival.end())));
  }
}

async function begin(rival: pg.Client): Promise<number> {
  await rival.connect();
  await rival.query("BEGIN READ ONLY");
  return pidOf(rival);
}

async function pidOf(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: string }>("SELECT pg_catalog.pg_backend_pid()::text AS pid");
  return Number(rows[0]?.pid);
}

/** What comes within ANSWER_MS, else null. */
async function within<T>(work: Promise<T>): Promise<T | null> {
  const timer = new AbortController();
  const late = sleep(ANSWER_MS, null, { signal: timer.signal }).catch(() => null);
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
    // Whether it fails later is nobody's concern any more.
    work.catch((error: unknown) => void error);
  }
}

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
    return [REFUSAL];
  } finally {
    await other.rollback();
    await other.end();
  }
}

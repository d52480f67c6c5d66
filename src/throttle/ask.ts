/** What the server is asked once a second, as one statement: it takes no lock and reads no table of a user. */
import { z } from "zod";
import { messageOf } from "../errors.js";
import { ConnectionLost, type Session } from "../pg/session.js";
import type { Plan } from "../plan/types.js";
import { readsWal } from "../wal/identity.js";
import type { ThrottleSettings } from "./types.js";

/** Everything but Partway's own backends of this role: what they do is what is being throttled. */
const OTHERS = /*sql*/ `NOT (a.application_name = 'partway' AND a.usename = current_user)`;

/** Each gives one text. Without pg_read_all_stats the columns of others' rows are NULL, without an error. */
const PARTS = {
  wal: /*sql*/ `pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')`,
  replicas: /*sql*/ `(SELECT json_build_object('may', pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'), 'rows',
    coalesce(json_agg(json_build_object('name', r.application_name, 'lag', extract(epoch FROM r.replay_lag) * 1000,
      'replayed', pg_wal_lsn_diff(r.replay_lsn, '0/0')) ORDER BY r.pid), '[]'::json))
    FROM pg_stat_replication AS r WHERE r.state IS NULL OR r.state IN ('streaming', 'catchup'))`,
  active: /*sql*/ `(SELECT json_build_object('may', pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'), 'n', count(*))
    FROM pg_stat_activity AS a WHERE a.backend_type = 'client backend' AND a.state = 'active' AND ${OTHERS})`,
  xmin: /*sql*/ `(SELECT json_build_object('may', pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'), 'rows',
    coalesce(json_agg(x.one), '[]'::json)) FROM (SELECT json_build_object('age', h.age, 'who', h.who) AS one FROM (
      SELECT age(a.backend_xmin) AS age, concat('pid ', a.pid, ' ', a.application_name) AS who
        FROM pg_stat_activity AS a WHERE a.backend_xmin IS NOT NULL AND ${OTHERS}
      UNION ALL SELECT age(s.xmin), concat('replication slot ', s.slot_name) FROM pg_replication_slots AS s WHERE s.xmin IS NOT NULL
      UNION ALL SELECT age(p.transaction), concat('prepared transaction ', p.gid) FROM pg_prepared_xacts AS p
    ) AS h ORDER BY h.age DESC LIMIT 1) AS x)`,
  checkpoint: /*sql*/ `(SELECT 100 * pg_wal_lsn_diff(pg_current_wal_lsn(), c.redo_lsn)
    / pg_size_bytes(current_setting('max_wal_size')) FROM pg_control_checkpoint() AS c)`,
  /** Without a bound, or without a slot, there is nothing to measure. */
  slot: /*sql*/ `(SELECT json_build_object('percent', (SELECT 100 * pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)
      / nullif(greatest(pg_size_bytes(current_setting('max_slot_wal_keep_size')), 0), 0)
    FROM pg_replication_slots AS s WHERE s.slot_name = $1 AND s.database = current_database())))`,
} as const;
export type Part = keyof typeof PARTS;

const CLOCK = /*sql*/ `SELECT to_char(clock_timestamp() AT TIME ZONE $1, 'HH24:MI') AS clock`;

export type Answers = Partial<Record<Part, { text: string } | { error: string }>>;

/** What has to be asked for these limits. */
export function partsFor(settings: ThrottleSettings): Part[] {
  const parts: Part[] = [];
  if (settings.maxReplicaLagMs !== null || settings.maxWalRate !== null) parts.push("wal");
  if (settings.maxReplicaLagMs !== null) parts.push("replicas");
  if (settings.maxActive !== null) parts.push("active");
  if (settings.maxXminAge !== null) parts.push("xmin");
  if (settings.maxCheckpointWal !== null) parts.push("checkpoint");
  if (settings.maxSlotWal !== null) parts.push("slot");
  return parts;
}

/** Settings for a migration that may have no slot. */
export function settingsFor(plan: Plan, settings: ThrottleSettings): ThrottleSettings {
  return readsWal(plan) ? settings : { ...settings, maxSlotWal: null };
}

/**
 * Asks for `parts` at once; where that fails one by one, so that the one that cannot be read is named. `slot`: its name.
 * Errors: ConnectionLost.
 */
export async function ask(session: Session, parts: readonly Part[], slot: string): Promise<Answers> {
  if (parts.length === 0) return {};
  const columns = parts.map((part) => `${PARTS[part]}::text AS ${part}`);
  try {
    const { rows } = await session.query(
      `SELECT ${columns.join(", ")}`,
      parts.includes("slot") ? [slot] : [],
    );
    const row = rows[0] ?? {};
    return Object.fromEntries(
      parts.map((part) => {
        const text = row[part] ?? null;
        return [part, text === null ? { error: "the server gives nothing" } : { text }];
      }),
    );
  } catch (error) {
    if (error instanceof ConnectionLost) throw error;
    if (parts.length === 1)
      return Object.fromEntries(parts.map((part) => [part, { error: messageOf(error) }]));
    const answers: Answers = {};
    for (const part of parts) Object.assign(answers, await ask(session, [part], slot));
    return answers;
  }
}

/** `HH:MM` by the server's clock in `zone`. Errors: a zone that the server does not know. */
export async function clockIn(session: Session, zone: string): Promise<string> {
  return (await session.one(z.object({ clock: z.string() }), CLOCK, [zone])).clock;
}

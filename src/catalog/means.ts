/** What the server has been given to work with, as far as SQL can tell: it does not say how many cores or how much memory. */
import { z } from "zod";
import type { Session } from "../pg/session.js";
import type { ServerMeans } from "../plan/means.js";

const MEANS_SQL = /*sql*/ `
SELECT current_setting('max_worker_processes') AS processes, current_setting('max_parallel_workers') AS parallel,
       current_setting('max_parallel_maintenance_workers') AS maintenance,
       (pg_size_bytes(current_setting('maintenance_work_mem')) / 1024)::text AS memory,
       (pg_size_bytes(current_setting('shared_buffers')) / 1024)::text AS buffers,
       CASE WHEN pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') THEN
         (SELECT count(*) FROM pg_stat_activity a WHERE a.backend_type = 'client backend' AND a.state = 'active'
             AND NOT (a.application_name = 'partway' AND a.usename = current_user))::text END AS active`;

const number = z.coerce.number();
const Row = z.object({
  processes: number,
  parallel: number,
  maintenance: number,
  memory: number,
  buffers: number,
  active: z.string().nullable(),
});

/** Reads settings and pg_stat_activity: takes no lock. */
export async function readMeans(session: Session): Promise<ServerMeans> {
  const row = await session.one(Row, MEANS_SQL);
  return {
    maxWorkerProcesses: row.processes,
    maxParallelWorkers: row.parallel,
    maxParallelMaintenance: row.maintenance,
    maintenanceKb: row.memory,
    sharedBuffersKb: row.buffers,
    activeSessions: row.active === null ? null : Number(row.active),
  };
}

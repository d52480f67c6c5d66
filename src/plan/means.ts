/**
 * How many connections a run works on, and what each index build may use, from what the server has been given. SQL does
 * not tell cores or memory, so the server's own settings stand for both, and the choice stays modest: the application is
 * on the same machine. Pure.
 */

export interface ServerMeans {
  /** 8 each unless somebody has set them, which is done by the number of cores. */
  maxWorkerProcesses: number;
  maxParallelWorkers: number;
  maxParallelMaintenance: number;
  maintenanceKb: number;
  sharedBuffersKb: number;
  /** Other sessions that run a statement; null: this role may not see them. */
  activeSessions: number | null;
}

export interface BuildMeans {
  /** maintenance_work_mem of each build. */
  memoryKb: number;
  /** max_parallel_maintenance_workers of each build. */
  parallel: number;
}

export interface Means {
  workers: number;
  /** Why so many, for people. */
  workersWhy: string;
  build: BuildMeans;
  /** For people: what each build is given, and from what. */
  buildWhy: string;
}

/** DESIGN 8 measured two connections; more than four have not been. */
const USUAL = 2;
const MOST = 4;
/** A quarter of what the server may run in parallel: the rest is the application's. */
const SHARE = 4;

/** Above maintenance_work_mem by this much at most, all builds together. */
const MEMORY_FACTOR = 4;
/** Beyond this a sort gains little. */
const MOST_MEMORY_KB = 1024 * 1024;

/** `given`: what --workers says; undefined: chosen here. */
export function chooseMeans(server: ServerMeans, given?: number): Means {
  const chosen = chooseWorkers(server);
  const workers = given ?? chosen.workers;
  const workersWhy = given === undefined ? chosen.why : "as --workers says";
  const build = buildMeans(server, workers);
  return { workers, workersWhy, build, buildWhy: buildWhy(server, build) };
}

/** How many processes the server is meant to run in parallel. max_parallel_workers 0 says only that no query shall. */
function widthOf({ maxWorkerProcesses: all, maxParallelWorkers: parallel }: ServerMeans): number {
  return parallel === 0 ? all : Math.min(all, parallel);
}

function chooseWorkers(server: ServerMeans): { workers: number; why: string } {
  const width = widthOf(server);
  const most = width < 3 ? 1 : Math.min(MOST, Math.max(USUAL, Math.floor(width / SHARE)));
  const { activeSessions: active } = server;
  const set = `the server is set for ${width} processes in parallel`;
  if (active === null) return { workers: most, why: `${set}; its load is hidden from this role` };
  const busy = `${active} other ${active === 1 ? "session is" : "sessions are"} at work`;
  return { workers: Math.max(1, Math.min(most, width - active)), why: `${set}, ${busy}` };
}

/**
 * What each of `workers` builds at a time may use. Memory: never less than maintenance_work_mem, which any CREATE INDEX
 * of anybody uses; more only where all of them together stay within four times that and within shared_buffers, which are
 * set by the machine's memory. Parallel workers: what is left of half the server's width, never more than the server's setting.
 */
export function buildMeans(server: ServerMeans, workers: number): BuildMeans {
  const { maintenanceKb, sharedBuffersKb, maxParallelMaintenance } = server;
  const together = Math.min(maintenanceKb * MEMORY_FACTOR, sharedBuffersKb);
  const each = Math.min(Math.floor(together / workers), MOST_MEMORY_KB);
  const spare = Math.max(0, Math.floor(widthOf(server) / 2 / workers) - 1);
  return {
    memoryKb: Math.max(maintenanceKb, each),
    parallel: Math.min(maxParallelMaintenance, spare),
  };
}

function buildWhy(server: ServerMeans, { memoryKb, parallel }: BuildMeans): string {
  const memory =
    memoryKb === server.maintenanceKb
      ? `maintenance_work_mem ${size(memoryKb)}, as the server has it`
      : `maintenance_work_mem ${size(memoryKb)} (the server has ${size(server.maintenanceKb)})`;
  return `${memory}; ${parallel} of ${server.maxParallelMaintenance} parallel workers`;
}

/** As postgresql.conf has it: 1 MB is 1024 kB. */
function size(kb: number): string {
  return kb % 1024 === 0 ? `${kb / 1024}MB` : `${kb}kB`;
}

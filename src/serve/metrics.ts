/** The service in Prometheus' text format: the tables in care, the jobs, and the requests. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { version } from "../version.js";
import type { Asked } from "./app.js";
import type { Overview } from "./desk.js";

/** Every metric of the service: its help text and labels. */
const GAUGES = {
  partway_database_up: { help: "1 when the database answered this scrape", labels: [] },
  partway_scheduler_enabled: { help: "1 when jobs are run here", labels: [] },
  partway_table_status: { help: "1 for the table's health, else 0", labels: ["table", "status"] },
  partway_table_partitions: { help: "Partitions", labels: ["table"] },
  partway_table_rows: { help: "Rows, estimated", labels: ["table"] },
  partway_table_bytes: { help: "Bytes of all partitions, indexes and TOAST included", labels: ["table"] },
  partway_table_pending_cleanup: { help: "Expired partitions that are still there", labels: ["table"] },
  partway_table_covered_until_timestamp_seconds: {
    help: "From now on there is a partition until then, without a gap; Unix time; 0: not even for now",
    labels: ["table"],
  },
  partway_table_last_maintenance_timestamp_seconds: { help: "Unix time", labels: ["table"] },
  partway_partition_bytes: { help: "Bytes of one partition", labels: ["table", "partition"] },
  partway_job_running: { help: "1 while it is at work here", labels: ["job"] },
  partway_job_next_run_timestamp_seconds: { help: "When it is due next, Unix time", labels: ["job"] },
  partway_job_last_run_timestamp_seconds: { help: "When it was due last, Unix time", labels: ["job"] },
  partway_job_last_success_timestamp_seconds: {
    help: "When the latest of its last runs that went well was due, Unix time",
    labels: ["job"],
  },
  partway_job_last_run_failed: {
    help: "1 when its last run failed or found something unhealthy",
    labels: ["job"],
  },
} as const satisfies Record<string, { help: string; labels: readonly string[] }>;
type GaugeName = keyof typeof GAUGES;

const STATUSES = ["HEALTHY", "CLEANUP_NEEDED", "NO_PARTITIONS", "WARNING", "CRITICAL"] as const;

export class ServiceMetrics {
  readonly contentType: string;
  readonly #registry = new Registry();
  readonly #gauges = new Map<GaugeName, Gauge>();
  readonly #requests: Counter<"method" | "route" | "status">;
  readonly #seconds: Histogram<"route">;
  readonly #ended: Counter<"job" | "outcome">;

  constructor() {
    const registers = [this.#registry];
    this.contentType = this.#registry.contentType;
    collectDefaultMetrics({ register: this.#registry });
    const info = { name: "partway_info", help: "The version that runs", labelNames: ["version"] };
    new Gauge({ ...info, registers }).set({ version: version() }, 1);
    for (const [name, { help, labels }] of Object.entries(GAUGES))
      if (isGauge(name))
        this.#gauges.set(name, new Gauge({ name, help, labelNames: [...labels], registers }));
    this.#requests = new Counter({
      ...{ name: "partway_http_requests_total", help: "Requests answered", registers },
      labelNames: ["method", "route", "status"],
    });
    this.#seconds = new Histogram({
      ...{ name: "partway_http_request_seconds", help: "Time to answer", registers },
      ...{ labelNames: ["route"], buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 30, 300] },
    });
    this.#ended = new Counter({
      ...{ name: "partway_job_runs_total", help: "Runs that ended here", registers },
      labelNames: ["job", "outcome"],
    });
  }

  answered({ method, route, status, seconds }: Asked): void {
    const known = ["GET", "HEAD", "POST"].includes(method) ? method : "other";
    this.#requests.inc({ method: known, route, status: String(status) });
    this.#seconds.observe({ route }, seconds);
  }

  ended(job: string, outcome: string): void {
    this.#ended.inc({ job, outcome });
  }

  /** The text of a scrape; `overview` null: the database did not answer, and what it would say is left out. */
  text(overview: Overview | null): Promise<string> {
    for (const gauge of this.#gauges.values()) gauge.reset();
    this.#set("partway_database_up", {}, overview === null ? 0 : 1);
    if (overview !== null) this.#fill(overview);
    return this.#registry.metrics();
  }

  #fill({ tables, status, runs }: Overview): void {
    this.#set("partway_scheduler_enabled", {}, status.scheduler.enabled ? 1 : 0);
    for (const { table, health, leaves, pendingCleanup } of tables) {
      for (const one of STATUSES)
        this.#set("partway_table_status", { table, status: one }, health.status === one ? 1 : 0);
      this.#set("partway_table_partitions", { table }, health.leaves);
      this.#set("partway_table_rows", { table }, health.rows);
      this.#set("partway_table_bytes", { table }, health.bytes);
      this.#set("partway_table_pending_cleanup", { table }, pendingCleanup);
      const { coveredUntil, lastMaintenance } = health;
      const until = coveredUntil === null ? 0 : unixOf(coveredUntil);
      this.#set("partway_table_covered_until_timestamp_seconds", { table }, until);
      const at = lastMaintenance === null ? null : unixOf(lastMaintenance);
      this.#set("partway_table_last_maintenance_timestamp_seconds", { table }, at);
      for (const { partition, bytes } of leaves)
        this.#set("partway_partition_bytes", { table, partition }, bytes);
    }
    for (const { name: job, running, nextRun, lastRun } of status.jobs) {
      this.#set("partway_job_running", { job }, running ? 1 : 0);
      this.#set("partway_job_next_run_timestamp_seconds", { job }, nextRun === null ? null : unixOf(nextRun));
      if (lastRun === null) continue;
      this.#set("partway_job_last_run_timestamp_seconds", { job }, unixOf(lastRun.scheduledFor));
      if (lastRun.outcome !== null)
        this.#set("partway_job_last_run_failed", { job }, lastRun.outcome === "done" ? 0 : 1);
      const good = runs.find((run) => run.job === job && run.outcome === "done");
      if (good !== undefined)
        this.#set("partway_job_last_success_timestamp_seconds", { job }, unixOf(good.scheduledFor));
    }
  }

  /** Null: not known, and left out. */
  #set(name: GaugeName, labels: Record<string, string>, value: number | null): void {
    if (value !== null) this.#gauges.get(name)?.set(labels, value);
  }
}

function isGauge(name: string): name is GaugeName {
  return Object.hasOwn(GAUGES, name);
}

/** Of a time in UTC, with or without its zone written; null: it is none (a number, `for ever`). */
function unixOf(text: string): number | null {
  const match = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?/.exec(text);
  if (match === null) return null;
  const [day = "", time = "00:00"] = match[0].split(/[T ]/);
  const ms = Date.parse(`${day}T${time}Z`);
  return Number.isNaN(ms) ? null : ms / 1000;
}

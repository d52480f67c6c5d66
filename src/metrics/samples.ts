/** What a scrape is told of one migration, from the view that a screen shows. Pure. */
import { PHASES, SIGNALS } from "../../state/events.js";
import type { RunView } from "../../state/view.js";

/** Every metric of a migration: its help text. All are gauges but the counter, whose name ends in _total. */
export const HELP = {
  partway_phase: "1 for the phase the migration is in, else 0; ready: kept current until the cutover",
  partway_phase_seconds: "How long a phase that is done took",
  partway_paused: "1 while the run is paused",
  partway_throttled: "1 for each signal that holds work back now, else 0",
  partway_canary_seconds:
    "What the canary, one small statement a second, took in the last minute; no writer's own latency",
  partway_copy_rows: "Rows copied",
  partway_copy_rows_estimated: "Rows there are to copy, by the planner's estimate",
  partway_copy_batches: "Batches committed",
  partway_copy_batches_planned: "Batches there are to commit, by the size of the next one",
  partway_copy_batch_blocks: "Blocks of the next batch",
  partway_copy_blocks: "Blocks of the table copied",
  partway_copy_blocks_planned: "Blocks of the table there are to copy",
  partway_copy_rows_per_second: "Rows copied a second, over the last ten seconds; 0 when no copy is running",
  partway_index_built: "Indexes built",
  partway_index_planned: "Indexes there are to build",
  partway_backlog_keys: "Changed keys that the other side has yet to follow",
  partway_applied_keys_per_second: "Changed keys applied a second",
  partway_slot_retained_bytes: "WAL that the server keeps for the replication slot of --capture wal",
  partway_slot_keep_bytes: "max_slot_wal_keep_size, where it is a bound",
  partway_lock_tries_total: "Tries to have a lock, in this process",
  partway_cutover_tries: "Tries that the last swap of the names took",
  partway_cutover_held_seconds: "How long the last swap of the names held its locks",
  partway_cutover_longest_stall_seconds:
    "The longest a writer was kept waiting by the last swap of the names",
  partway_window_seconds_left: "Seconds until the retention window ends, by the database's clock",
  partway_rollback_safe: "1 when a rollback would lose nothing",
  partway_rollback_keys_behind: "Keys that the old table is behind",
  partway_last_event_timestamp_seconds: "When the run last told something, Unix time",
} as const;
export type MetricName = keyof typeof HELP;

/** The label that a metric has beside `migration` and `table`. */
export const EXTRA_LABEL: Partial<Record<MetricName, "phase" | "direction" | "reason" | "quantile">> = {
  partway_phase: "phase",
  partway_phase_seconds: "phase",
  partway_throttled: "reason",
  partway_canary_seconds: "quantile",
  partway_backlog_keys: "direction",
  partway_applied_keys_per_second: "direction",
  partway_cutover_tries: "direction",
  partway_cutover_held_seconds: "direction",
  partway_cutover_longest_stall_seconds: "direction",
};

/** What `partway_phase` may be. */
export const PHASE_VALUES = [...PHASES, "ready", "rollback", "abort", "ended"] as const;

export interface Sample {
  name: MetricName;
  /** The value of the extra label, where the metric has one. */
  extra?: string;
  value: number;
}

/** Where the migration is: the undo before the phases, the end before both. */
export function phaseOf(view: RunView): (typeof PHASE_VALUES)[number] | null {
  if (view.finished !== null || view.stopped !== null) return "ended";
  if (view.undo?.status === "running") return view.undo.name;
  const running = view.phases.find((phase) => phase.status === "running");
  return running?.name ?? (view.ready === null ? null : "ready");
}

/** The samples of `view`. What is not known yet is left out: a missing series is not a zero. */
export function samplesOf(view: RunView, facts: { lockTries: number; lastEventAt: number | null }): Sample[] {
  const now = phaseOf(view);
  const { copy, index, backlog, cutover, window } = view;
  const samples: Sample[] = [
    ...PHASE_VALUES.map((phase): Sample => flag("partway_phase", phase === now, phase)),
    flag("partway_paused", view.paused),
    ...SIGNALS.map((signal): Sample => {
      const holds = view.held?.reasons.some((one) => one.signal === signal) === true;
      return flag("partway_throttled", holds, signal);
    }),
    { name: "partway_lock_tries_total", value: facts.lockTries },
  ];
  const add = (name: MetricName, value: number | null, extra?: string) => {
    if (value !== null) samples.push({ name, value, ...(extra === undefined ? {} : { extra }) });
  };
  for (const { name, status, ms } of view.undo === null ? view.phases : [...view.phases, view.undo])
    if (status === "done" && ms !== null) add("partway_phase_seconds", ms / 1000, name);
  const canary = now === "ended" ? null : (view.sample?.canary ?? null);
  if (canary !== null) {
    add("partway_canary_seconds", canary.p50 / 1000, "0.5");
    add("partway_canary_seconds", canary.p99 / 1000, "0.99");
  }
  const slot = now === "ended" ? null : (view.sample?.slot ?? null);
  if (slot !== null) {
    add("partway_slot_retained_bytes", slot.retainedBytes);
    add("partway_slot_keep_bytes", slot.keptBytes);
  }
  if (copy !== null) {
    add("partway_copy_rows", copy.rowsDone);
    add("partway_copy_rows_estimated", copy.rowsEstimated);
    add("partway_copy_batches", copy.batchesDone);
    add("partway_copy_batches_planned", copy.batchesTotal);
    add("partway_copy_batch_blocks", copy.batchBlocks ?? null);
    add("partway_copy_blocks", copy.blocksDone ?? null);
    add("partway_copy_blocks_planned", copy.blocksTotal ?? null);
    add("partway_copy_rows_per_second", now === "copy" ? copy.rowsPerSecond : 0);
  }
  if (index !== null) {
    add("partway_index_built", index.built);
    add("partway_index_planned", index.total);
  }
  if (backlog !== null) {
    add("partway_backlog_keys", backlog.keys, backlog.direction);
    add("partway_applied_keys_per_second", backlog.appliedPerSecond, backlog.direction);
  }
  if (cutover !== null) {
    const { direction, tries, heldMs, longestStallMs } = cutover;
    add("partway_cutover_tries", tries, direction);
    add("partway_cutover_held_seconds", heldMs / 1000, direction);
    add("partway_cutover_longest_stall_seconds", longestStallMs / 1000, direction);
  }
  if (window !== null) {
    add("partway_window_seconds_left", window.secondsLeft);
    add("partway_rollback_safe", window.safe ? 1 : 0);
    add("partway_rollback_keys_behind", window.keysBehind);
  }
  add("partway_last_event_timestamp_seconds", facts.lastEventAt === null ? null : facts.lastEventAt / 1000);
  return samples;
}

function flag(name: MetricName, on: boolean, extra?: string): Sample {
  return { name, value: on ? 1 : 0, ...(extra === undefined ? {} : { extra }) };
}

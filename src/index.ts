/** `import { plan, run } from "partway"`: the types and functions the command line itself uses. */
export type { Command, Outcome, PhaseName, RunEvent } from "../state/events.js";
export type { RunView, ViewSource } from "../state/view.js";
export {
  type ConnectOptions,
  type PlanOptions,
  plan,
  proceed,
  type ResumeOptions,
  type RunOptions,
  run,
  type StateOptions,
} from "./api.js";
export { type RestoreReport, restoreBackup } from "./backup/restore.js";
export type { PartwayConfig } from "./config/schema.js";
export { explain } from "./engine/effects.js";
export type { RunResult } from "./engine/engine.js";
export type { Running } from "./engine/running.js";
export { EXIT, type FaultKind, PartwayError } from "./errors.js";
export {
  type CatalogDiff,
  diff,
  type ListedMigration,
  list,
  type StatusReport,
  status,
  verify,
} from "./inspect.js";
export type { MigrationRequest, Plan } from "./plan/types.js";
export { type Recovered, recover } from "./recover.js";

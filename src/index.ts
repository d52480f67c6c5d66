/** `import { plan, run } from "partway"`: the types and functions the command line itself uses. */
export type { Command, Outcome, PhaseName, RunEvent } from "../state/events.js";
export type { HealthView, TableHealthView } from "../state/health-view.js";
export type { RunView, ViewSource } from "../state/view.js";
export type { Advice } from "./advise/advice.js";
export { type AdviceReport, type AdviseOptions, advise } from "./advisor.js";
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
export {
  type ArchiveOptions,
  type ArchiveReport,
  archive,
  archives,
  type ListedArchive,
  type PlaceOptions,
  type RestoreLeafOptions,
  type RestoreLeafReport,
  restoreLeaf,
} from "./archive.js";
export {
  type ArchiveProgress,
  type ArchiveRowsOptions,
  type ArchiveRowsReport,
  archiveRows,
} from "./archive-rows.js";
export { type RestoreReport, restoreBackup } from "./backup/restore.js";
export type { AdoptReport } from "./care/adopt.js";
export type { Finding, HealthReport, HealthStatus } from "./care/health.js";
export type { MaintainReport } from "./care/maintain.js";
export type { HealthChange } from "./care/tell.js";
export {
  type AdoptOptions,
  adopt,
  type CareOptions,
  health,
  type MaintainOptions,
  type MaintainOutcome,
  type MaintainResult,
  maintain,
  type PartitionsReport,
  partitions,
  type TellOptions,
  tellHealth,
} from "./care.js";
export { type WatchHealthOptions, watchHealth } from "./care-watch.js";
export {
  type CooledLeaf,
  type CoolOptions,
  type CoolReport,
  coldLeaves,
  cool,
  type ListedCold,
  type WarmedLeaf,
  type WarmOptions,
  type WarmReport,
  warm,
} from "./cold.js";
export type { PartwayConfig } from "./config/schema.js";
export { explain } from "./engine/effects.js";
export type { RunResult } from "./engine/engine.js";
export type { Running } from "./engine/running.js";
export { EXIT, type FaultKind, PartwayError } from "./errors.js";
export type { ExplainedStatement, ExplainedTable, ExplainReport } from "./explain/types.js";
export { type ExplainOptions, explainStatements } from "./explain.js";
export { type ExtendedWindow, extend } from "./extend.js";
export { type GrantsOptions, grants, type RoleScript } from "./grants.js";
export {
  type HandoverOptions,
  handover,
  type InstalledSql,
  type InstallSqlOptions,
  installSql,
  type RemovedSql,
  sqlScript,
  uninstallSql,
} from "./in-database.js";
export {
  type CatalogDiff,
  diff,
  type ListedMigration,
  list,
  type StatusReport,
  status,
  verify,
} from "./inspect.js";
export type { HandoverReport } from "./insql/partman.js";
export { type PlannedAll, type PlannedTable, planAll } from "./many/plan.js";
export {
  type AllResult,
  type RunAllOptions,
  runAll,
  type TableEvent,
  type TableReport,
  type TableState,
  type Turn,
} from "./many/run.js";
export type { AllOptions } from "./many/tables.js";
export type { MigrationRequest, Plan } from "./plan/types.js";
export { type Recovered, recover } from "./recover.js";
export { acceptFindings, type RehearsalReport, type RehearseOptions, rehearse } from "./rehearsal.js";
export { type ReportFormat, type ReportOptions, report } from "./report.js";
export { publishedSchema, type SchemaName } from "./schema/publish.js";
export { type ListDocument, listDocument, type StatusDocument, statusDocument } from "./schema/status.js";
export type { ServeEvent } from "./serve/service.js";
export { type ServeOptions, type Serving, serve } from "./serve.js";
export { type SmokeOptions, smoke } from "./smoke.js";
export { analyze, type UpkeepOptions, type UpkeepOutcome, vacuum } from "./upkeep.js";

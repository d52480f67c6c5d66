/** Everything the journal knows of one migration, and what the database says now: what a report is made from. */
import type { RunEvent } from "../../state/events.js";
import type { Journal } from "../../state/journal.js";
import type {
  BatchRecord,
  CutoverRecord,
  IndexBuildRecord,
  MeasurementRecord,
  MigrationRecord,
  TransitionRecord,
  ValidationRecord,
} from "../../state/journal-rows.js";
import type { Sizes } from "../checks/sizes.js";
import { drivenElsewhere } from "../engine/other-process.js";
import { readPlan } from "../engine/stored-plan.js";
import type { DatabaseStatus } from "../inspect.js";
import type { Plan } from "../plan/types.js";

export interface History {
  migration: Pick<
    MigrationRecord,
    "id" | "createdAt" | "server" | "table" | "state" | "outcome" | "settings"
  >;
  /** A live process drives it. */
  isDriven: boolean;
  plan: Plan;
  transitions: TransitionRecord[];
  batches: BatchRecord[];
  indexBuilds: IndexBuildRecord[];
  validations: ValidationRecord[];
  cutovers: CutoverRecord[];
  measurements: MeasurementRecord[];
  events: RunEvent[];
  database: DatabaseStatus;
  /** From the database now, or why they are not known. */
  sizes: Sizes | { why: string };
  /** When the report was made, ISO 8601, and by which Partway. */
  madeAt: string;
  madeBy: string;
  /** The command to type next. */
  next: string;
}

export type EventOf<K extends RunEvent["event"]> = Extract<RunEvent, { event: K }>;

/** Events of one kind, oldest first. */
export function eventsOf<K extends RunEvent["event"]>(
  history: Pick<History, "events">,
  kind: K,
): EventOf<K>[] {
  return history.events.filter((event): event is EventOf<K> => event.event === kind);
}

/** What the journal knows. */
export function readHistory(
  journal: Journal,
  record: MigrationRecord,
): Omit<History, "database" | "sizes" | "madeAt" | "madeBy" | "next"> {
  const { id } = record;
  return {
    migration: record,
    isDriven: drivenElsewhere(record),
    plan: readPlan(record),
    transitions: journal.transitions(id),
    batches: journal.allBatches(id),
    indexBuilds: journal.indexBuilds(id),
    validations: journal.validations(id),
    cutovers: journal.cutovers(id),
    measurements: journal.allMeasurements(id),
    events: journal.events(id).map(({ event }) => event),
  };
}

/** What a run says of itself: who goes on from here, for the report, and where its phases write what they measured. */
import type { RunEventBody } from "../../state/events.js";
import type { Journal } from "../../state/journal.js";
import type { PhaseRecord, Settings } from "../phases/phase.js";
import { version } from "../version.js";
import type { Intent } from "./intent.js";

/** Lists of the settings as their number: a hook's command or a query may hold what nobody else is to read. */
export function introduction(intent: Intent, settings: Settings, postgres: string): RunEventBody {
  const { smoke, queries, hooks, rehearse, ...plain } = settings;
  return {
    event: "process",
    intent,
    partway: version(),
    node: process.versions.node,
    postgres,
    settings: {
      ...plain,
      smoke: smoke.length,
      queries: queries.length,
      hooks: hooks.length,
      rehearse: rehearse === null ? null : (rehearse.file ?? "pg_stat_statements"),
    },
  };
}

/** The phases' measurements, written into the journal of migration `id`. */
export function recordOf(journal: Journal, id: string): PhaseRecord {
  const at = () => new Date().toISOString();
  return {
    batch: (row) => journal.batch(id, { ...row, at: at() }),
    indexBuilt: (row) => journal.indexBuilt(id, { ...row, at: at() }),
    validation: (row) => journal.validation(id, { ...row, at: at() }),
    cutover: (row) => journal.cutover(id, { ...row, at: at() }),
    measurement: (row) => journal.measurement(id, { ...row, at: at() }),
  };
}

/** What a run says of itself: who goes on from here, for the report, and where its phases write what they measured. */
import type { RunEventBody } from "../../state/events.js";
import type { Journal } from "../../state/journal.js";
import type { PhaseRecord, Settings } from "../phases/phase.js";
import { hoursText } from "../throttle/hours.js";
import { version } from "../version.js";
import type { Intent } from "./intent.js";

/** Lists of the settings as their number: a hook's command or a query may hold what nobody else is to read. */
export function introduction(intent: Intent, settings: Settings, postgres: string): RunEventBody {
  const { smoke, queries, hooks, rehearse, throttle, ...plain } = settings;
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
      ...limitsOf(throttle),
      rehearse: rehearse === null ? null : (rehearse.file ?? "pg_stat_statements"),
    },
  };
}

/** The limits that there are; of the operator's statements only that there is one. */
function limitsOf(throttle: Settings["throttle"]): Record<string, string | number> {
  const { isReplicaLagAsked, sql, canarySql, between, ...numbers } = throttle;
  const limits = Object.entries(numbers).flatMap(([name, value]): [string, number][] =>
    value === null ? [] : [[name, value]],
  );
  return {
    ...Object.fromEntries(limits),
    ...(sql === null ? {} : { throttleSql: "given" }),
    ...(canarySql === null ? {} : { canarySql: "given" }),
    ...(between === null ? {} : { between: hoursText(between) }),
  };
}

/** The phases' measurements, written into the journal of migration `id`; `batch` hears how long each of the copy took. */
export function recordOf(journal: Journal, id: string, batch: (ms: number) => void): PhaseRecord {
  const at = () => new Date().toISOString();
  return {
    batch: (row) => {
      journal.batch(id, { ...row, at: at() });
      batch(row.ms);
    },
    indexBuilt: (row) => journal.indexBuilt(id, { ...row, at: at() }),
    validation: (row) => journal.validation(id, { ...row, at: at() }),
    cutover: (row) => journal.cutover(id, { ...row, at: at() }),
    measurement: (row) => journal.measurement(id, { ...row, at: at() }),
  };
}

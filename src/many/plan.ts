/** `partway plan --all`: every table's plan in order, and the sum of their forecasts. */
import { plan } from "../api.js";
import type { RawSettings } from "../config/request.js";
import { asPartwayError, EXIT, type PartwayError } from "../errors.js";
import type { Forecast, Plan } from "../plan/types.js";
import type { TableEntry } from "./order.js";
import { hindrance, type Placed } from "./standing.js";
import { type AllOptions, readTables, type Tables, worst } from "./tables.js";

export interface PlannedTable {
  /** `schema.name`. */
  table: string;
  priority: string;
  after: readonly string[];
  together: string | boolean | null;
  /** `new` ones are planned; `open` ones are resumed, `migrated` ones skipped. */
  standing: Placed["standing"]["kind"];
  migration: string | null;
  plan: Plan | null;
  /** Why it cannot be planned, or stands where `run --all` does not go on. */
  error: PartwayError | null;
}

export interface PlannedAll {
  tables: PlannedTable[];
  /** How many run at once at most; null: not said. */
  parallel: number | null;
  /** Of the tables that would be started: one after the other, and all old tables kept. */
  forecast: {
    tables: number;
    seconds: { low: number; high: number };
    extraDiskBytes: number;
    walBytes: number;
  };
  exitCode: number;
}

/**
 * What `run --all` would do. Touches nothing. A table that is refused or cannot be planned does not hide the others.
 * Errors: bad-input for the list itself.
 */
export async function planAll(options: AllOptions & RawSettings): Promise<PlannedAll> {
  return planTables(await readTables(options), options);
}

/** The same for tables that have been looked up. */
export async function planTables({ order, placed }: Tables, options: AllOptions): Promise<PlannedAll> {
  const tables: PlannedTable[] = [];
  for (const [entry, place] of placed) tables.push(await planOne(entry, place, options));
  const begun = tables.flatMap((t) => (t.plan === null || t.plan.refusals.length > 0 ? [] : [t.plan]));
  const sum = (value: (made: Plan) => number) => begun.reduce((all, made) => all + value(made), 0);
  return {
    tables,
    parallel: order.parallel,
    forecast: {
      tables: begun.length,
      seconds: { low: sum((p) => p.forecast.seconds.low), high: sum((p) => p.forecast.seconds.high) },
      extraDiskBytes: diskTogether(begun.map((p) => p.forecast)),
      walBytes: sum((p) => p.forecast.walBytes),
    },
    exitCode: worst(tables.map(codeOf)),
  };
}

/** New tables stay, one beside the other; change log, sort files and WAL come and go with each table. */
export function diskTogether(forecasts: readonly Forecast[]): number {
  const parts = forecasts.map(({ extraDiskBytes, disk }) => {
    const passing = disk === undefined ? 0 : disk.log + disk.sort + disk.wal;
    return { staying: extraDiskBytes - passing, passing };
  });
  const staying = parts.reduce((all, one) => all + one.staying, 0);
  return staying + Math.max(0, ...parts.map(({ passing }) => passing));
}

async function planOne(entry: TableEntry, place: Placed, options: AllOptions): Promise<PlannedTable> {
  const { standing, shown } = place;
  const facts = {
    table: shown,
    priority: entry.tierName,
    after: entry.after,
    together: entry.together,
    standing: standing.kind,
    migration: migrationOf(standing),
  };
  if (standing.kind !== "new") return { ...facts, plan: null, error: hindrance(place) };
  const { url, config, keep, freeDisk, sample, workers } = options;
  try {
    return {
      ...facts,
      plan: await plan({ table: entry.name, url, config, keep, freeDisk, sample, workers }),
      error: null,
    };
  } catch (error) {
    const known = asPartwayError(error, "Nothing was touched.", "the same command again");
    return { ...facts, plan: null, error: known };
  }
}

/** The migration's id, where it has one. */
export function migrationOf(standing: Placed["standing"]): string | null {
  if (standing.kind === "open") return standing.record.id;
  return standing.kind === "new" ? null : standing.id;
}

function codeOf({ plan: made, error }: PlannedTable): number {
  if (error !== null) return error.exitCode;
  return made !== null && made.refusals.length > 0 ? EXIT.refused : EXIT.done;
}

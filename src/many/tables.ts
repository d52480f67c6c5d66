/** What `plan --all` and `run --all` begin with: the configuration's tables in order, each looked up on the server. */
import { type ConnectOptions, type StateOptions, targetOf, withSession } from "../api.js";
import { parseForecast } from "../config/forecast.js";
import { configFor, loadConfig } from "../config/load.js";
import {
  mergePolicy,
  parseRequest,
  parseSettings,
  type RawOptions,
  type RawSettings,
} from "../config/request.js";
import { explainUntouched } from "../engine/faults.js";
import { journalIfAny } from "../engine/state-dir.js";
import { badInput, EXIT, type PartwayError } from "../errors.js";
import type { Session } from "../pg/session.js";
import type { Target } from "../pg/target.js";
import { type Order, orderOf, type TableEntry } from "./order.js";
import { type Placed, placeOf } from "./standing.js";

export interface AllOptions extends ConnectOptions, StateOptions {
  /** Configuration file; default `partway.config.*` in the current folder. */
  config?: string | undefined;
  /** Retention window of every table; wins over the file. */
  keep?: string | undefined;
  /** Free space on the server's disk; each table is judged by itself. */
  freeDisk?: string | undefined;
  /** Connections of each table's run; by the server when nothing is said. */
  workers?: string | undefined;
  /** false: no samples for the forecasts. */
  sample?: boolean | undefined;
}

export interface Tables {
  order: Order;
  target: Target;
  placed: ReadonlyMap<TableEntry, Placed>;
}

/**
 * Reads only. Errors: bad-input for any mistake in the file or the options, before a server is asked; then for a table
 * that is not there, or is listed under two names.
 */
export async function readTables(options: AllOptions & RawSettings): Promise<Tables> {
  const named = options.config;
  const { config, file } = await loadConfig({
    cwd: process.cwd(),
    ...(named === undefined ? {} : { file: named }),
  });
  const order = orderOf(config, file);
  for (const { name } of order.tables) {
    const policy: RawOptions & RawSettings = mergePolicy<RawOptions & RawSettings>(
      configFor(config, name),
      options,
    );
    try {
      parseRequest(name, policy);
      parseSettings(policy);
      parseForecast(policy);
    } catch (error) {
      throw ofTable(`${file}: tables.${name}`, explainUntouched(error));
    }
  }
  const target = await targetOf(options);
  const placed = new Map<TableEntry, Placed>();
  await onServer(target, async (session) => {
    for (const entry of order.tables) {
      const place = await look(session, target, options.state, entry);
      const twin = [...placed].find(([, other]) => other.oid === place.oid)?.[0];
      if (twin !== undefined)
        throw badInput(
          `${file}: tables.${twin.name} and tables.${entry.name} are the same table, ${place.shown}`,
          "Keep one of the two entries.",
        );
      placed.set(entry, place);
    }
  });
  return { order, target, placed };
}

/** Where one table stands now. */
export function placeNow(target: Target, state: string | undefined, entry: TableEntry): Promise<Placed> {
  return onServer(target, (session) => look(session, target, state, entry));
}

async function onServer<T>(target: Target, work: (session: Session) => Promise<T>): Promise<T> {
  try {
    return await withSession(target, work);
  } catch (error) {
    throw explainUntouched(error);
  }
}

async function look(
  session: Session,
  target: Target,
  state: string | undefined,
  entry: TableEntry,
): Promise<Placed> {
  // Opened anew: the last table's migration may have made it.
  const journal = journalIfAny(state);
  try {
    return await placeOf(session, target, journal, entry.name);
  } finally {
    journal?.close();
  }
}

function ofTable(where: string, error: PartwayError): PartwayError {
  return badInput(`${where}: ${error.message}`, error.next, error);
}

/** Worst first: what nobody foresaw, then what the data or the definition says, then what is to be mended or waited for. */
const WORST = [
  EXIT.unexpected,
  EXIT.difference,
  EXIT.drift,
  EXIT.badInput,
  EXIT.refused,
  EXIT.lockBusy,
  EXIT.stopped,
];

/** The exit code of several tables: the worst of theirs. */
export function worst(codes: readonly number[]): number {
  return WORST.find((code) => codes.includes(code)) ?? codes.find((code) => code !== EXIT.done) ?? EXIT.done;
}

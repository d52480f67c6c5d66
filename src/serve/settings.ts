/** From configuration, options and environment to what the service does. Every mistake is named before it starts. */
import { Cron } from "croner";
import type { JobKind, ServeConfig } from "../config/serve.js";
import { badInput, messageOf } from "../errors.js";
import type { Token } from "./tokens.js";

export interface Job {
  name: string;
  /** As written. */
  cron: string;
  kind: JobKind;
  /** Empty: all that are in care. */
  tables: readonly string[];
  /** Detach and drop what is expired. */
  apply: boolean;
}

export interface ServeSettings {
  host: string;
  port: number;
  tokens: readonly Token[];
  jobs: readonly Job[];
  /** Null: on; else why it is not. */
  schedulerOff: string | null;
  catchUp: boolean;
  perMinute: number;
}

export interface ServeFlags {
  host?: string | undefined;
  port?: string | undefined;
  /** What jobs do that do not say. */
  apply?: boolean | undefined;
}

/** Port and hour of the system this API is from. */
const PORT = 3001;
const DAILY = { "partition-maintenance": { cron: "0 2 * * *", run: "maintenance" } } as const;
const PER_MINUTE = 120;

/** Switches the scheduler off; the API goes on. */
const SWITCH = "ENABLE_PARTITION_MAINTENANCE";

const NO_TOKEN =
  "Make one: partway token ops --scope write; put the entry it prints into serve.tokens of the configuration file, and start again.";

/** Errors: bad-input naming the option, key or variable. */
export function serveSettings(
  config: ServeConfig,
  flags: ServeFlags,
  env: Readonly<Record<string, string | undefined>>,
): ServeSettings {
  const tokens = (config.tokens ?? []).map(({ scope = "read", ...token }): Token => ({ ...token, scope }));
  if (tokens.length === 0)
    throw badInput("no token is configured: nobody could call the service, or everybody could", NO_TOKEN);
  const names = tokens.map(({ name }) => name);
  const twin = names.find((name, at) => names.indexOf(name) !== at);
  if (twin !== undefined)
    throw badInput(`serve.tokens: the name ${twin} stands twice`, "Give each token a name of its own.");
  return {
    host: flags.host ?? config.host ?? "127.0.0.1",
    port: flags.port === undefined ? (config.port ?? PORT) : portOf(flags.port),
    tokens,
    jobs: Object.entries(config.schedule ?? DAILY).map(([name, job]) => jobOf(name, job, flags.apply)),
    schedulerOff: switchedOff(env[SWITCH]),
    catchUp: config.catchUp ?? true,
    perMinute: config.perMinute ?? PER_MINUTE,
  };
}

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) throw badInput(`--port: "${text}" is not a port`, "Write a number up to 65535.");
  return port;
}

function jobOf(
  name: string,
  job: NonNullable<ServeConfig["schedule"]>[string] | (typeof DAILY)[keyof typeof DAILY],
  applies: boolean | undefined,
): Job {
  const { cron, run: kind } = job;
  const apply = "apply" in job ? job.apply : undefined;
  const tables = "tables" in job ? (job.tables ?? []) : [];
  const key = `serve.schedule.${name}`;
  const takesAway = kind === "maintenance" || kind === "cleanup";
  if (apply !== undefined && !takesAway)
    throw badInput(`${key}: ${kind} takes nothing away: apply says nothing`, "Leave apply out there.");
  try {
    if (nextAfter(cron, new Date()) === null) throw new Error("there is no such day");
  } catch (error) {
    throw badInput(
      `${key}.cron: "${cron}" is no schedule: ${messageOf(error)}`,
      "Write five fields, in UTC: minute, hour, day of the month, month, day of the week; 0 2 1 * * is 02:00 on the 1st.",
      error,
    );
  }
  return { name, cron, kind, tables, apply: takesAway && (apply ?? applies ?? false) };
}

function switchedOff(value: string | undefined): string | null {
  const said = value?.trim().toLowerCase() ?? "";
  if (["false", "0", "no", "off"].includes(said)) return `${SWITCH}=${said}`;
  if (["", "true", "1", "yes", "on"].includes(said)) return null;
  throw badInput(`${SWITCH} is neither true nor false`, `${SWITCH}=false switches the scheduler off.`);
}

function cronOf(pattern: string): Cron {
  return new Cron(pattern, { timezone: "UTC", mode: "5-part", paused: true });
}

/** The first time after `time`; null: never. */
export function nextAfter(pattern: string, time: Date): Date | null {
  return cronOf(pattern).nextRun(time);
}

/** The last time up to `time`, itself included; null: never. */
export function lastUntil(pattern: string, time: Date): Date | null {
  // croner looks before its reference, by whole seconds.
  const [last] = cronOf(pattern).previousRuns(1, new Date(Math.floor(time.getTime() / 1000) * 1000 + 1000));
  return last ?? null;
}

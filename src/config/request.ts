/** From options as typed to a MigrationRequest and run settings: every mistake is named before a server is asked. */
import type { SmokeCheck } from "../checks/types.js";
import { badInput } from "../errors.js";
import { mergeOn, parseHook } from "../hooks/names.js";
import type { OnHangup, Settings } from "../phases/phase.js";
import type { Interval, MigrationRequest, Scheme } from "../plan/types.js";
import { parseDuration, parseMilliseconds } from "./duration.js";
import type { QueryConfig, SmokeConfig } from "./schema.js";
import { parseTableName } from "./table-name.js";
import { checkTemplate, defaultTemplate } from "./template.js";
import { parseThrottle, type RawThrottle } from "./throttle.js";

/** As typed on the command line, merged over the configuration file. */
export interface RawOptions {
  by?: string | undefined;
  every?: string | undefined;
  step?: string | undefined;
  hash?: string | undefined;
  /** Comma-separated; a value with a comma in double quotes. */
  list?: string | undefined;
  ahead?: string | undefined;
  leaf?: string | undefined;
  keep?: string | undefined;
  key?: string | undefined;
  incomingFk?: string | undefined;
  nullKeys?: string | undefined;
  capture?: string | undefined;
  /** Free space on the server's disk: `50GB`. */
  freeDisk?: string | undefined;
  /** false: no sample of the table for the forecast. */
  sample?: boolean | undefined;
}

export interface RawSettings extends RawThrottle {
  workers?: string | undefined;
  batchBlocks?: string | undefined;
  /** Excludes `batchBlocks`, unless it is 0. */
  batchTime?: string | undefined;
  lockTimeout?: string | undefined;
  lockTimeoutMax?: string | undefined;
  lockTries?: string | undefined;
  holdBudget?: string | undefined;
  /** A directory; false: no backup. */
  backup?: string | false | undefined;
  repair?: boolean | undefined;
  /** Hooks, each `event=command`. */
  on?: readonly string[] | undefined;
  hookTimeout?: string | undefined;
  smoke?: SmokeConfig[] | undefined;
  smokeFailure?: "report" | "rollback" | undefined;
  queries?: QueryConfig[] | undefined;
  /** stop or continue, when the terminal disappears. */
  onHangup?: OnHangup | undefined;
  /** From the configuration file alone. */
  rehearse?: { file?: string | undefined; required?: boolean | undefined } | undefined;
  /** Only ever true because the operator typed the table's name. */
  forceDrop?: boolean | undefined;
}

const INTERVALS = ["hour", "day", "week", "month", "quarter", "year"] as const satisfies readonly Interval[];

/** Leaves beyond the newest one when --ahead is left out: each about as long as the documents of FEATURES F1 ask. */
export const AHEAD: Record<Interval | "step", number> = {
  hour: 72,
  day: 30,
  week: 12,
  month: 6,
  quarter: 4,
  year: 2,
  step: 4,
};

const KEEP = "24h";

/** Options in `over` that are given win over `under`; those left out do not. */
export function mergeOptions<T extends object>(under: T, over: Partial<T>): T {
  const given = Object.entries(over).filter(([, value]) => value !== undefined);
  return { ...under, ...Object.fromEntries(given) };
}

/** The same, where a hook that is given leaves those of other events as they are, and one batch size replaces the other. */
export function mergePolicy<T extends RawSettings>(under: T, over: Partial<T>): T {
  // Two ways to say one thing: who names the one takes the other back.
  const sized = over.batchBlocks !== undefined || over.batchTime !== undefined;
  const base = sized ? { ...under, batchBlocks: undefined, batchTime: undefined } : under;
  return { ...mergeOptions(base, over), on: mergeOn(under.on, over.on) };
}

/** What the operator asks for. Errors: bad-input naming the option. */
export function parseRequest(table: string, options: RawOptions): MigrationRequest {
  parseTableName(table);
  const scheme = parseScheme(options);
  const leafTemplate = options.leaf ?? defaultTemplate(scheme);
  checkTemplate(leafTemplate, scheme);
  return {
    table,
    scheme,
    ahead: parseAhead(options.ahead, scheme),
    leafTemplate,
    keepSeconds: parseDuration(options.keep ?? KEEP, "--keep"),
    ...(options.incomingFk === undefined ? {} : { incomingFk: parseIncoming(options.incomingFk) }),
    ...(options.nullKeys === undefined ? {} : { nullKeys: parseNullKeys(options.nullKeys, scheme) }),
    ...(options.capture === undefined ? {} : { capture: parseCapture(options.capture) }),
    keyIndex: options.key === undefined ? null : unquote(options.key),
  };
}

/** Run settings with the defaults of DESIGN 3.2 and 3.6. Errors: bad-input naming the option. */
export function parseSettings(raw: RawSettings): Settings {
  const lockTimeoutMs = parseMilliseconds(raw.lockTimeout ?? "100ms", "--lock-timeout");
  const lockTimeoutMaxMs = parseMilliseconds(
    raw.lockTimeoutMax ?? `${Math.max(1000, lockTimeoutMs)}ms`,
    "--lock-timeout-max",
  );
  if (lockTimeoutMaxMs < lockTimeoutMs)
    throw badInput("--lock-timeout-max is shorter than --lock-timeout", "Raise the one or lower the other.");
  return {
    // `run` chooses where nothing is said (plan/means.ts).
    workers: whole(raw.workers ?? "2", "--workers", 1, 64),
    workersWhy: null,
    ...parseBatch(raw),
    lockTimeoutMs,
    lockTimeoutMaxMs,
    lockTries: whole(raw.lockTries ?? "30", "--lock-tries", 1, 100_000),
    holdBudgetMs: parseMilliseconds(raw.holdBudget ?? "1s", "--hold-budget"),
    backupDir: raw.backup === undefined || raw.backup === false ? null : raw.backup,
    repair: raw.repair ?? false,
    rehearse:
      raw.rehearse === undefined
        ? null
        : { file: raw.rehearse.file ?? null, required: raw.rehearse.required ?? false },
    forceDrop: raw.forceDrop ?? false,
    hooks: (raw.on ?? []).map(parseHook),
    hookTimeoutMs: parseMilliseconds(raw.hookTimeout ?? "1m", "--hook-timeout"),
    smoke: parseSmoke(raw.smoke ?? []),
    smokeFailure: raw.smokeFailure ?? "report",
    queries: (raw.queries ?? []).map((query, at) =>
      typeof query === "string" ? { name: `query ${at + 1}`, sql: query } : query,
    ),
    onHangup: parseHangup(raw.onHangup ?? "stop"),
    throttle: parseThrottle(raw),
  };
}

/** DESIGN 8: 8192 blocks take half a second on the machine that it was measured on, so half a second is the default anywhere. */
function parseBatch({ batchBlocks, batchTime }: RawSettings): Pick<Settings, "batchBlocks" | "batchTimeMs"> {
  const isFixed = batchTime === undefined ? batchBlocks !== undefined : /^0(ms|s|m)?$/.test(batchTime.trim());
  if (!isFixed && batchBlocks !== undefined)
    throw badInput(
      "--batch-blocks and --batch-time exclude each other",
      "Give --batch-blocks for batches of one size, or --batch-time for a size that follows from the time.",
    );
  return {
    batchBlocks: whole(batchBlocks ?? "8192", "--batch-blocks", 16, 1_048_576),
    batchTimeMs: isFixed ? 0 : parseMilliseconds(batchTime ?? "500ms", "--batch-time"),
  };
}

/** Errors: bad-input for a name given twice: a result could not be told from the other's. */
function parseSmoke(checks: readonly SmokeConfig[]): SmokeCheck[] {
  const twice = checks.find(({ name }, at) => checks.findIndex((other) => other.name === name) !== at);
  if (twice !== undefined)
    throw badInput(`smoke: two checks are called "${twice.name}"`, "Give each check a name of its own.");
  return checks.map(({ name, sql, expect, timeout }) => ({
    name,
    sql,
    expect,
    timeoutMs: parseMilliseconds(timeout ?? "30s", `smoke check "${name}", timeout`),
  }));
}

function parseHangup(text: string): OnHangup {
  if (text === "stop" || text === "continue") return text;
  throw badInput(`--on-hangup: "${text}" is no choice`, "Choose stop or continue.");
}

function parseScheme(options: RawOptions): Scheme {
  const given = (["every", "step", "hash", "list"] as const).filter((name) => options[name] !== undefined);
  if (options.by === undefined || options.by.trim() === "")
    throw badInput(
      "no partition column is given",
      "Add --by <column>, for example --by created_at --every month.",
    );
  if (given.length !== 1)
    throw badInput(
      given.length === 0
        ? "it is not said how to cut the table"
        : `${given.map((name) => `--${name}`).join(" and ")} exclude each other`,
      "Give exactly one of --every <interval>, --step <number>, --hash <number of leaves>, --list <values>.",
    );
  const column = unquote(options.by);
  if (options.every !== undefined) return { kind: "range-time", column, every: parseInterval(options.every) };
  if (options.step !== undefined) return { kind: "range-int", column, step: parseStep(options.step) };
  if (options.hash !== undefined)
    return { kind: "hash", column, modulus: whole(options.hash, "--hash", 2, 1024) };
  return { kind: "list", column, values: parseList(options.list ?? "") };
}

function parseInterval(text: string): Interval {
  const interval = INTERVALS.find((name) => name === text.trim().toLowerCase());
  if (interval === undefined)
    throw badInput(`--every: "${text}" is not an interval`, `Choose one of ${INTERVALS.join(", ")}.`);
  return interval;
}

function parseStep(text: string): string {
  const digits = text.trim().replaceAll("_", "");
  if (!/^\d{1,18}$/.test(digits) || BigInt(digits) === 0n)
    throw badInput(
      `--step: "${text}" is not a whole number above zero`,
      "For example --step 1000000 or --step 1_000_000.",
    );
  return BigInt(digits).toString();
}

const INCOMING = ["refuse", "drop", "repoint"] as const;

function parseIncoming(text: string): (typeof INCOMING)[number] {
  const choice = INCOMING.find((name) => name === text.trim().toLowerCase());
  if (choice === undefined)
    throw badInput(`--incoming-fk: "${text}" is no choice`, `Choose one of ${INCOMING.join(", ")}.`);
  return choice;
}

function parseNullKeys(text: string, scheme: Scheme): "refuse" | "default-leaf" {
  const choice = text.trim().toLowerCase();
  if (choice !== "refuse" && choice !== "default-leaf")
    throw badInput(`--null-keys: "${text}" is no choice`, "Choose refuse or default-leaf.");
  if (choice === "default-leaf" && scheme.kind === "hash")
    throw badInput(
      "--null-keys default-leaf: a table cut by hash has no DEFAULT leaf",
      "Leave it out: every value belongs to one of the hash leaves.",
    );
  return choice;
}

function parseCapture(text: string): "trigger" | "wal" {
  const choice = text.trim().toLowerCase();
  if (choice !== "trigger" && choice !== "wal")
    throw badInput(`--capture: "${text}" is no choice`, "Choose trigger or wal.");
  return choice;
}

/** One line of CSV: `a,b,"c,d"`. */
function parseList(text: string): string[] {
  const values: string[] = [];
  let rest = text;
  for (;;) {
    const match = /^\s*(?:"((?:[^"]|"")*)"|([^",]*?))\s*(,|$)/.exec(rest);
    if (match === null)
      throw badInput(`--list: cannot read ${text}`, `Write --list 'eu,us,"a value, with a comma"'.`);
    if (match[1] === undefined && match[2] === "")
      throw badInput(
        `--list: a value is empty in "${text}"`,
        `Remove the comma, or write "" for the empty text.`,
      );
    values.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? "");
    rest = rest.slice(match[0].length);
    if (match[3] !== ",") break;
  }
  const twice = values.find((value, at) => values.indexOf(value) !== at);
  if (twice !== undefined) throw badInput(`--list: "${twice}" is given twice`, "Give each value once.");
  return values;
}

function parseAhead(text: string | undefined, scheme: Scheme): number {
  if (scheme.kind === "hash" || scheme.kind === "list") return 0;
  if (text !== undefined) return whole(text, "--ahead", 0, 1000);
  return AHEAD[scheme.kind === "range-time" ? scheme.every : "step"];
}

function whole(text: string, option: string, least: number, most: number): number {
  const value = /^\d{1,9}$/.test(text.trim()) ? Number(text.trim()) : Number.NaN;
  if (!(value >= least && value <= most))
    throw badInput(
      `${option}: "${text}" is not a whole number from ${least} to ${most}`,
      `For example ${option} ${Math.max(least, Math.min(most, 4))}.`,
    );
  return value;
}

/** `"createdAt"` typed with its quotes means createdAt. */
function unquote(text: string): string {
  const match = /^"((?:[^"]|"")+)"$/.exec(text.trim());
  return match?.[1] === undefined ? text.trim() : match[1].replaceAll('""', '"');
}

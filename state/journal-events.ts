/** What an event read back from the journal must look like: one schema per kind; the compiler asks for a missing one. */
import { z } from "zod";
import { PHASES, type RunEvent, type RunEventBody, SIGNALS } from "./events.js";
import { OutcomeSchema } from "./journal-rows.js";

export type Kind = RunEventBody["event"];

/** Progress that only its newest row tells: the journal keeps one of each per migration. */
export const NOISY: ReadonlySet<Kind> = new Set<Kind>([
  ...(["backup", "copy", "index", "backlog", "window"] as const),
  ...(["forecast", "leaves", "map", "comparing", "sample"] as const),
]);

const text = z.string();
const number = z.number();
const maybe = z.number().nullable();
const flag = z.boolean();
const direction = z.enum(["forward", "reverse"]);

/** Unknown extra fields are kept, so that a field added later reads back through an older program. */
function of<K extends Kind, S extends z.ZodRawShape>(kind: K, shape: S) {
  return z.looseObject({ at: text, migration: text, event: z.literal(kind), ...shape });
}

const side = z.enum(["old", "new"]);
const size = z.object({ heap: number, toast: number, indexes: number });
const held = z.object({ signal: z.enum(SIGNALS), reason: text });
const blocker = z.object({ pid: number, ageSeconds: number, query: text, application: text });

/** One schema per kind; the published one (src/schema/events.ts) is made from them. */
export const EVENTS = {
  phase: of("phase", {
    phase: z.enum([...PHASES, "rollback", "abort"]),
    status: z.enum(["started", "done", "failed"]),
    ms: maybe,
  }),
  backup: of("backup", {
    method: z.enum(["pg_dump", "copy"]),
    bytes: number,
    rows: maybe,
    path: text,
    done: flag,
  }),
  copy: of("copy", {
    rowsDone: number,
    rowsEstimated: number,
    batchesDone: number,
    batchesTotal: number,
    blocksDone: number.exactOptional(),
    blocksTotal: number.exactOptional(),
    batchBlocks: number.exactOptional(),
    rowsPerSecond: maybe,
    secondsLeft: maybe,
    workers: number,
  }),
  "copy-restarted": of("copy-restarted", { reason: text }),
  index: of("index", {
    built: number,
    total: number,
    current: z.array(text),
    secondsLeft: maybe,
    step: text.exactOptional(),
  }),
  forecast: of("forecast", {
    phases: z.array(z.object({ phase: z.enum(PHASES), low: number, high: number })),
  }),
  leaves: of("leaves", {
    leaves: z.array(z.object({ name: text, bounds: text, rows: maybe, exact: flag })),
  }),
  map: of("map", {
    phase: z.enum(["copy", "index", "validate"]),
    of: z.enum(["blocks", "leaves"]),
    cells: text,
    workers: z.array(z.object({ worker: number, cell: maybe, what: text, since: text })),
  }),
  comparing: of("comparing", { done: number, total: number, rows: number, secondsLeft: maybe }),
  sample: of("sample", {
    walBytesPerSecond: maybe,
    walBytes: maybe,
    logged: maybe,
    slot: z.object({ retainedBytes: number, keptBytes: maybe, status: text }).nullable().exactOptional(),
    canary: z.object({ p50: number, p99: number, count: number }).nullable().exactOptional(),
    held: z.array(held).exactOptional(),
  }),
  check: of("check", { name: text, ok: flag.nullable() }),
  backlog: of("backlog", { direction, keys: number, appliedPerSecond: maybe }),
  validation: of("validation", {
    result: z.enum(["equal", "different"]),
    rows: number,
    excluded: number,
    sourceHash: text,
    shadowHash: text,
    ms: number,
  }),
  difference: of("difference", {
    leaf: text,
    key: text,
    partition: text,
    kind: z.enum(["missing", "extra", "changed"]),
  }),
  repaired: of("repaired", { keys: number }),
  "leaf-created": of("leaf-created", { leaf: text, reason: text }),
  "lock-try": of("lock-try", {
    purpose: text,
    attempt: number,
    outcome: z.enum(["acquired", "timeout"]),
    timeoutMs: number,
    waitedMs: number,
    blockers: z.array(blocker),
  }),
  cutover: of("cutover", {
    direction,
    tries: number,
    waitedMs: number,
    heldMs: number,
    longestStallMs: number,
    drainedKeys: number,
  }),
  ready: of("ready", { message: text }),
  window: of("window", {
    deadline: text,
    secondsLeft: number,
    safe: flag,
    verdict: text,
    keysBehind: number,
    liveBytes: number.exactOptional(),
    retiredBytes: number.exactOptional(),
  }),
  process: of("process", {
    intent: text,
    partway: text,
    node: text,
    postgres: text,
    settings: z.record(text, z.union([text, number, flag, z.null()])),
  }),
  sizes: of("sizes", {
    source: size.nullable(),
    partitioned: size.nullable(),
    leaves: z.array(z.object({ leaf: text, bytes: number, indexBytes: number })),
  }),
  query: of("query", {
    when: z.enum(["before", "after"]),
    name: text,
    sql: text,
    runs: z.array(number),
    plan: text.nullable(),
    leavesScanned: maybe,
    error: text.nullable(),
  }),
  smoke: of("smoke", {
    check: text,
    on: side,
    passed: flag,
    expected: text,
    found: text,
    ms: number,
  }),
  "smoke-done": of("smoke-done", {
    on: side,
    total: number,
    failed: z.array(text),
    next: text.nullable(),
  }),
  paused: of("paused", {}),
  continued: of("continued", {}),
  throttle: of("throttle", { percent: number }),
  throttled: of("throttled", { reasons: z.array(held) }),
  released: of("released", { reason: text, ms: number }),
  postponed: of("postponed", { on: flag }),
  stopped: of("stopped", { kind: text, what: text, state: text, next: text, exitCode: number }),
  finished: of("finished", { outcome: OutcomeSchema, message: text }),
  log: of("log", { level: z.enum(["info", "warn", "error"]), message: text }),
} satisfies { [K in Kind]: z.ZodType<Extract<RunEvent, { event: K }>> };

function isKind(kind: string): kind is Kind {
  return Object.hasOwn(EVENTS, kind);
}

/** An event from its row. Errors: ZodError or SyntaxError for a body that is not one. */
export function parseEvent(kind: string, body: string): RunEvent {
  if (!isKind(kind)) throw new SyntaxError(`unknown kind of event: ${kind}`);
  return EVENTS[kind].parse(JSON.parse(body));
}

/** A run as a screen sees it: events at chosen seconds, folded, drawn at a chosen size. */
import { render } from "ink-testing-library";
import { onTestFinished, vi } from "vitest";
import type { PhaseName, RunEvent, RunEventBody, Wish } from "../../state/events.js";
import { createViewStore } from "../../state/fold.js";
import { emptyView, type RunView } from "../../state/view.js";
import { App } from "../../ui/App.js";

const START = Date.parse("2026-07-01T10:00:00Z");
const MIGRATION = "orders_3f9a1c";

/** The time so many seconds into the run, ISO 8601. */
export function at(seconds: number): string {
  return new Date(START + seconds * 1000).toISOString();
}

/** An event so many seconds into the run. */
export function event(seconds: number, body: RunEventBody): RunEvent {
  return { at: at(seconds), migration: MIGRATION, ...body };
}

export function started(seconds: number, phase: PhaseName): RunEvent {
  return event(seconds, { event: "phase", phase, status: "started", ms: null });
}

export function done(seconds: number, phase: PhaseName, ms: number): RunEvent {
  return event(seconds, { event: "phase", phase, status: "done", ms });
}

/** A view of a run of which nothing has happened yet. */
export function freshView(): RunView {
  return emptyView({
    migration: MIGRATION,
    table: "public.orders",
    server: "PostgreSQL 18.1, database shop on db.internal:5432",
    startedAt: at(0),
  });
}

/** What has happened when the cutover is about to begin. */
export const UNTIL_VALIDATED: RunEvent[] = [
  started(0, "backup"),
  event(9, { event: "backup", method: "pg_dump", bytes: 1.23e9, rows: null, path: "/b/o.dump", done: true }),
  done(9, "backup", 9_000),
  started(9, "shadow"),
  done(10, "shadow", 400),
  started(10, "copy"),
  event(70, {
    event: "copy",
    rowsDone: 5_000_123,
    rowsEstimated: 5_000_000,
    batchesDone: 600,
    batchesTotal: 600,
    rowsPerSecond: 83_000,
    secondsLeft: 0,
    workers: 4,
  }),
  done(70, "copy", 60_000),
  started(70, "index"),
  event(100, { event: "index", built: 84, total: 84, current: [], secondsLeft: 0 }),
  done(100, "index", 30_000),
  started(100, "validate"),
  event(104, { event: "backlog", direction: "forward", keys: 12, appliedPerSecond: 9_000 }),
  event(105, {
    event: "validation",
    result: "equal",
    rows: 5_000_123,
    excluded: 12,
    sourceHash: "71",
    shadowHash: "71",
    ms: 4_900,
  }),
  done(105, "validate", 5_000),
];

/** What has happened when the retention window opens. */
export const UNTIL_RETAINED: RunEvent[] = [
  ...UNTIL_VALIDATED,
  started(105, "cutover"),
  event(106, {
    event: "cutover",
    direction: "forward",
    tries: 3,
    waitedMs: 320,
    heldMs: 61,
    longestStallMs: 70,
    drainedKeys: 12,
  }),
  done(106, "cutover", 900),
  started(106, "retain"),
];

export function windowEvent(seconds: number, safe: boolean, verdict: string): RunEvent {
  return event(seconds, {
    event: "window",
    deadline: at(106 + 86_400),
    secondsLeft: 106 + 86_400 - seconds,
    safe,
    verdict,
    keysBehind: 3,
  });
}

export interface Shown {
  /** What the terminal shows, without the spaces at line ends. */
  frame(): string;
  commands: Wish[];
  left(): boolean;
  push(event: RunEvent): void;
  /** Sends keys as a terminal would. */
  type(keys: string): void;
  resize(columns: number, rows: number): Promise<void>;
  /** Waits until the frame holds `text`. */
  until(text: string): Promise<void>;
}

/** Draws a run `seconds` after its start. Ready for keys when it resolves. */
export async function show(
  events: RunEvent[],
  seconds: number,
  columns = 80,
  rows = 24,
  whole?: string,
  { watching = false, answer = null }: { watching?: boolean; answer?: string | null } = {},
): Promise<Shown> {
  const store = createViewStore(freshView());
  for (const one of events) store.push(one);
  const commands: Wish[] = [];
  let left = false;
  const screen = render(
    <App
      source={store}
      onCommand={(command) => {
        commands.push(command);
        return answer;
      }}
      watching={watching}
      onLeave={() => {
        left = true;
      }}
      clock={() => START + seconds * 1000}
      {...(whole === undefined ? {} : { whole })}
    />,
  );
  onTestFinished(() => screen.unmount());
  const frame = () => (screen.lastFrame() ?? "").replace(/ +$/gm, "");
  const resize = async (width: number, height: number) => {
    Object.defineProperty(screen.stdout, "columns", { value: width, configurable: true });
    Object.defineProperty(screen.stdout, "rows", { value: height, configurable: true });
    screen.stdout.emit("resize");
    // The elapsed time stands at the right edge.
    await vi.waitUntil(() => frame().split("\n")[0]?.length === width);
  };
  await resize(columns, rows);
  await vi.waitUntil(() => screen.stdin.listenerCount("readable") > 0);
  return {
    frame,
    commands,
    left: () => left,
    push: (one) => store.push(one),
    type: (keys) => screen.stdin.write(keys),
    resize,
    until: async (text) => {
      await vi.waitUntil(() => frame().includes(text));
    },
  };
}

/** How it went: the phases over time, the copy's rate, the change log, and who was kept waiting. */
import { count, duration, millis, moment, plural } from "../../../ui/format.js";
import {
  type Bar,
  type Block,
  folded,
  type LineChart,
  NOT_MEASURED,
  type Section,
  type Tone,
  toned,
} from "../doc.js";
import { eventsOf, type History } from "../history.js";
import { levels, rowRate } from "../series.js";
import { holdsOf, type Stretch, stretchesOf, workOf } from "../story.js";

const TONES: Record<Stretch["how"], Tone> = {
  done: "good",
  running: "plain",
  stopped: "warn",
  failed: "bad",
  lost: "bad",
};

export function timelineSection(history: History): Section {
  const stretches = stretchesOf(history);
  if (stretches.length === 0) return { title: "Timeline", blocks: [NOT_MEASURED] };
  const names = [...new Set(stretches.map(({ state }) => state))];
  const bar = ({ from, to, how }: Stretch): Bar => ({
    from,
    to,
    tone: TONES[how],
    label: `${duration(to - from)}${how === "done" ? "" : `, ${how}`}`,
  });
  const holds = holdsOf(history).map(
    ({ from, to, reason }): Bar => ({ from, to, tone: "warn", label: `${duration(to - from)}: ${reason}` }),
  );
  const rows = [
    ...names.map((name) => ({ name, bars: stretches.filter(({ state }) => state === name).map(bar) })),
    ...(holds.length === 0 ? [] : [{ name: "held", bars: holds }]),
  ];
  const work = workOf(stretches);
  return {
    title: "Timeline",
    blocks: [
      { kind: "timeline", timeline: { rows, work: work.length > 0 ? work : stretches } },
      {
        kind: "text",
        tone: "quiet",
        text: "Times are UTC. Where the run waited or nobody ran it, the axis is cut (//) and the length written above. Green: done; orange: stopped by the operator, or held by the throttle; red: failed, or its process vanished.",
      },
    ],
  };
}

export function rateSection(history: History): Section {
  const lines = rowRate(history.batches);
  const rows = history.batches.reduce((sum, batch) => sum + batch.rows, 0);
  const points = lines.flat().map(({ v }) => v);
  const copied = eventsOf(history, "copy-restarted").length;
  const words = `${count(rows)} rows in ${plural(history.batches.length, "batch").replace("batchs", "batches")}; at most ${count(Math.max(0, ...points))} rows a second.${copied > 0 ? ` The copy started again ${plural(copied, "time")}.` : ""}`;
  return {
    title: "Copy",
    blocks:
      lines.length === 0
        ? [NOT_MEASURED]
        : [chart({ title: "Rows copied a second", unit: "rows/s", lines, words })],
  };
}

const LOGS = [
  ["backlog-forward", "Before cutover: keys waiting to be applied to the new table"],
  ["backlog-reverse", "After cutover: keys waiting to be applied to the old table"],
] as const;

export function backlogSection(history: History): Section {
  const charts = LOGS.flatMap(([name, title]): Block[] => {
    const lines = levels(history.measurements, name);
    const values = lines.flat().map(({ v }) => v);
    if (values.length === 0) return [];
    const words = `At most ${plural(Math.max(...values), "key")}, at last ${count(values.at(-1) ?? 0)}.`;
    return [chart({ title, unit: "keys", lines, words })];
  });
  return { title: "Change log", blocks: charts.length === 0 ? [NOT_MEASURED] : charts };
}

/** When heavy work was held back, by what, and for how long. Null: it never was. */
export function heldSection(history: History): Section | null {
  const holds = holdsOf(history);
  if (holds.length === 0) return null;
  const whole = holds.reduce((sum, { from, to }) => sum + (to - from), 0);
  const rows = holds.map(({ from, to, reason }) => [
    moment(new Date(from).toISOString()),
    duration(to - from),
    reason,
  ]);
  const text = `Held ${plural(holds.length, "time")}, ${duration(whole)} in all. The application was not affected; its changes were captured all the time.`;
  return {
    title: "Held back by the throttle",
    blocks: [
      { kind: "text", text },
      { kind: "table", head: ["from", "for", "why, when it began"], right: [1], rows: folded(rows, 20) },
    ],
  };
}

const chart = (of: LineChart): Block => ({ kind: "line", chart: of });

/** The application's own times, where the journal has them. */
export function writersSection(history: History): Section {
  const rows = history.cutovers.map((one) => [
    one.direction === "forward" ? "cutover" : "rollback",
    moment(one.at),
    `${Math.round(one.longestStallMs)} ms`,
  ]);
  const swaps: Block[] =
    rows.length === 0
      ? []
      : [{ kind: "table", head: ["swap of the names", "at", "longest stall of a writer"], right: [2], rows }];
  return { title: "Writers", blocks: [...swaps, ...canaryBlocks(history)] };
}

/** The canary stands for the application's statements, and is called by its name. */
function canaryBlocks(history: History): Block[] {
  const charts = CANARY.flatMap(([name, title]): Block[] => {
    const lines = levels(history.measurements, name);
    const values = lines.flat().map(({ v }) => v);
    if (values.length === 0) return [];
    const words = `At most ${millis(Math.max(...values))}, at last ${millis(values.at(-1) ?? 0)}.`;
    return [chart({ title, unit: "ms", lines, words })];
  });
  if (charts.length === 0)
    return [
      { kind: "text", text: "Latency of single statements during the run: not measured.", tone: "quiet" },
    ];
  const note =
    "The canary is one small statement a second that Partway times itself, network included: a look-up by key, or the one that was given. It is not the application's own latency.";
  return [...charts, { kind: "text", tone: "quiet", text: note }];
}

const CANARY = [
  ["canary-p50", "Canary: half of the statements of the last minute took at most"],
  ["canary-p99", "Canary: 99 % of the statements of the last minute took at most"],
] as const;

/** Stops of every kind, and when somebody went on. */
export function interruptionsSection(history: History): Section {
  const stretches = stretchesOf(history);
  const stops = eventsOf(history, "stopped");
  const starts = eventsOf(history, "process");
  const rows = stretches.flatMap((one, at) => {
    if (one.how === "done" || one.how === "running") return [];
    const next = stretches[at + 1];
    const told = stops.find(
      ({ at: when }) =>
        Date.parse(when) >= one.to - 1000 && (next === undefined || Date.parse(when) <= next.from),
    );
    const why = one.how === "lost" ? "the process vanished (last sign of life)" : (told?.what ?? one.how);
    const resumed =
      next === undefined
        ? toned("not yet", "warn")
        : `${moment(new Date(next.from).toISOString())}, at ${next.state}, ${duration(next.from - one.to)} later`;
    return [[one.state, moment(new Date(one.to).toISOString()), why, resumed]];
  });
  const processes: Block = {
    kind: "table",
    head: ["process started", "to", "Partway", "Node.js", "PostgreSQL"],
    rows: starts.map((one, at) => [
      moment(one.at),
      at === 0 && one.intent === "resume" ? "begin" : one.intent,
      one.partway,
      one.node,
      one.postgres,
    ]),
  };
  const blocks: Block[] =
    rows.length === 0
      ? [{ kind: "text", text: "None: it ran without interruption.", tone: "quiet" }]
      : [{ kind: "table", head: ["during", "at", "what happened", "went on"], rows }];
  return {
    title: "Interruptions and resumes",
    blocks: starts.length === 0 ? blocks : [...blocks, processes],
  };
}

/** How it went: the phases over time, the copy's rate, the change log, and who was kept waiting. */
import { count, duration, moment, plural } from "../../../ui/format.js";
import {
  type Bar,
  type Block,
  type LineChart,
  NOT_MEASURED,
  type Section,
  type Tone,
  toned,
} from "../doc.js";
import { eventsOf, type History } from "../history.js";
import { levels, rowRate } from "../series.js";
import { type Stretch, stretchesOf, workOf } from "../story.js";

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
  const rows = names.map((name) => ({
    name,
    bars: stretches.filter(({ state }) => state === name).map(bar),
  }));
  const work = workOf(stretches);
  return {
    title: "Timeline",
    blocks: [
      { kind: "timeline", timeline: { rows, work: work.length > 0 ? work : stretches } },
      {
        kind: "text",
        tone: "quiet",
        text: "Times are UTC. Where the run waited or nobody ran it, the axis is cut (//) and the length written above. Green: done; orange: stopped by the operator; red: failed, or its process vanished.",
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

const chart = (of: LineChart): Block => ({ kind: "line", chart: of });

/** The application's own times, where the journal has them. */
export function writersSection(history: History): Section {
  const rows = history.cutovers.map((one) => [
    one.direction === "forward" ? "cutover" : "rollback",
    moment(one.at),
    `${Math.round(one.longestStallMs)} ms`,
  ]);
  const latency: Block = {
    kind: "text",
    text: "Latency of single statements during the run: not measured.",
    tone: "quiet",
  };
  if (rows.length === 0) return { title: "Writers", blocks: [latency] };
  return {
    title: "Writers",
    blocks: [
      { kind: "table", head: ["swap of the names", "at", "longest stall of a writer"], right: [2], rows },
      latency,
    ],
  };
}

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

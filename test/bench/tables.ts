/** A result as tables: the same ones on the terminal and in the README. Pure. */

import { LATE_MS } from "./latency.js";
import { medianOf, type Of, type Result, ratiosOf, valuesOf } from "./result.js";
import { median } from "./stats.js";
import { judged } from "./targets.js";
import { WAITS } from "./waits.js";

export interface Table {
  title: string;
  /** What a reader must know beside the numbers. */
  note?: string;
  head: string[];
  rows: string[][];
}

/** A number of `digits` behind the point, or a dash for what was not measured. */
export function cell(value: number | null | undefined, digits = 1): string {
  if (value == null) return "-";
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** [part, what a reader calls it, the part it is divided by] */
export const WAYS = [
  ["floor", "floor: plain INSERT ... SELECT, then indexes", "floor"],
  ["partway", "Partway from the shadow on, no writers", "floor"],
  ["partway-500", "Partway from the shadow on, 500 writes/s", "floor"],
  ["partway-half", "Partway from the shadow on, half of the server's writes", "floor"],
  ["keyset", "batches by key on one connection into an indexed shadow", "floor"],
  ["mirror", "the same (one connection) with mirror triggers, 500 writes/s", "floor"],
  ["floor-debian", "floor on Debian's server", "floor-debian"],
  ["partman", "pg_partman's partition_data_proc", "floor-debian"],
  ["repack", "pg_repack (a rebuild; makes no partitions)", "floor-debian"],
] as const;

const SPANS = [
  ...["before", "shadow", "copy", "index", "validate", "cutover"],
  ...["window", "window_first", "window_rest", "drop", "after"],
];

const STATES = [
  ["none", "no migration"],
  ["capture", "capture installed"],
  ["window", "in the window: partitions and reverse capture"],
  ["after", "after the end: partitions alone"],
] as const;

const worst = (values: readonly number[]): number | null =>
  values.length === 0 ? null : Math.max(...values);

const BUSY = WAITS.filter((wait) => wait !== "idle");

const percent = (share: number | null): string => (share === null ? "-" : `${cell(share * 100)}%`);

function writersTitle(part: "partway-500" | "partway-half" | "mirror", offered: string): string {
  if (part === "mirror") return "Writers at 500 statements a second, mirror triggers (one connection copies)";
  return `Writers at ${part === "partway-500" ? "500" : offered} statements a second`;
}

/** Those that have at least one row. */
export function tablesOf(result: Result): Table[] {
  const of = (part: string, name: string) => medianOf(result, part, name);
  const ratio = (value: Of, base: Of) => median(ratiosOf(result, value, base));
  const measured = (part: string): boolean => result.measurements.some((one) => one.part === part);
  const hasVacuum = (part: string): boolean => of(part, "secondsWithoutVacuum") !== null;
  const tables: Table[] = [
    {
      title: "Whole migration",
      note: "Medians in seconds; a ratio is of the floor in the same round. Partway's seconds are from the shadow on: its process, from start to end, with plan and preflight, is the column of its own. Its index phase ends with VACUUM (FREEZE) and ANALYZE, which the floor's seconds have not: like for like are the last two columns, where neither has it and where both have. Partway's WAL has it, so that is divided by the floor's with it; the other ways' by the floor's without.",
      head: [
        ...["way", "runs", "copy", "index", "total", "of the floor", "with validation", "of the floor"],
        ...["whole process", "WAL bytes/row", "of the floor, like for like"],
        ...["seconds, both without VACUUM", "both with it"],
      ],
      rows: WAYS.filter(([part]) => measured(part)).map(([part, name, base]) => [
        ...[name, String(valuesOf(result, part, "seconds").length)],
        ...[cell(of(part, "copySeconds")), cell(of(part, "indexSeconds")), cell(of(part, "seconds"))],
        cell(ratio([part, "seconds"], [base, "seconds"]), 2),
        cell(of(part, "secondsWithValidation")),
        cell(ratio([part, "secondsWithValidation"], [base, "seconds"]), 2),
        cell(of(part, "wallSeconds")),
        cell(of(part, "walPerRow"), 0),
        cell(ratio([part, "walPerRow"], [base, hasVacuum(part) ? "walPerRowWithVacuum" : "walPerRow"]), 2),
        cell(ratio([part, "secondsWithoutVacuum"], [base, "seconds"]), 2),
        hasVacuum(part) ? cell(ratio([part, "seconds"], [base, "secondsWithVacuum"]), 2) : "-",
      ]),
    },
    {
      title: "Partway's index phase",
      head: ["run", "duplicates s", "builds s", "attach s", "VACUUM, ANALYZE s", "catch-up s"],
      rows: ["partway", "partway-500"]
        .filter(measured)
        .map((part) => [
          part,
          ...["dedupeSeconds", "buildSeconds", "attachSeconds", "vacuumSeconds", "catchUpSeconds"].map(
            (name) => cell(of(part, name), 2),
          ),
        ]),
    },
    ...(["partway-500", "partway-half", "mirror"] as const).map((part) => ({
      title: writersTitle(part, cell(of(part, "offered"), 0)),
      note: `Latency in ms from the moment a statement was due, so that waiting behind a stall counts. In time: the share of what was due that was answered within ${LATE_MS} ms. The window's first two seconds and its rest stand apart too: the disk is still writing the new table when it begins.`,
      head: ["span", "answers/s", "in time", "p50", "p99", "p99.9", "max", "errors"],
      rows: SPANS.filter((span) => of(part, `${span}.p99`) !== null).map((span) => [
        span,
        cell(of(part, `${span}.perSecond`), 0),
        percent(of(part, `${span}.onTime`)),
        ...["p50", "p99", "p999", "max"].map((name) => cell(of(part, `${span}.${name}`))),
        cell(of(part, `${span}.errors`), 0),
      ]),
    })),
    ...["partway-500", "partway-half"].map((part) => ({
      title: `What the writers' backends were seen waiting for (${part})`,
      note: "Looked at about 20 times a second; of the statements under way, the share in each wait. WAL: until the commit is on the disk, or another's that it goes with. None: at work, or in the queue for a processor.",
      head: ["span", "seen", "WAL", "other IO", "lock", "server's own locks", "other", "none"],
      rows: SPANS.filter((span) => of(part, `${span}.wait.none`) !== null).map((span) => {
        const seen = BUSY.map((wait) => of(part, `${span}.wait.${wait}`) ?? 0);
        const sum = seen.reduce((a, b) => a + b, 0);
        return [span, cell(sum, 0), ...seen.map((count) => (sum === 0 ? "-" : percent(count / sum)))];
      }),
    })),
    {
      title: "Saturated writers",
      note: "4 clients that send their next statement at once, no process of Partway at work. Rows are changed by primary key and partition key, or by the primary key alone, for which the server looks into every leaf.",
      head: ["state", "statements/s", "of none", "by id alone", "of none"],
      rows: [
        ...(measured("saturation") ? STATES : []).map(([state, name]) => [
          ...[name, cell(of("saturation", state), 0), cell(of("saturation", `${state}Kept`), 2)],
          ...[cell(of("saturation", `id.${state}`), 0), cell(of("saturation", `id.${state}Kept`), 2)],
        ]),
        ...(measured("mirror")
          ? [["mirror triggers", "-", cell(of("mirror", "throughputKept"), 2), "-", "-"]]
          : []),
      ],
    },
    {
      title: "Saturated writers, followed",
      note: "4 clients that send their next statement at once; wal_level is logical for all three. Where there is a migration, its process follows at the same time, ready for cutover.",
      head: ["capture", "statements/s", "of none"],
      rows: (measured("wal") ? (["none", "trigger", "wal"] as const) : []).map((state) => [
        ...[state, cell(of("wal", state), 0), cell(of("wal", `${state}Kept`), 2)],
      ]),
    },
    {
      title: "Cutover under 4 writing clients",
      note: "Milliseconds. The longest statement of a writer from the lock being sought to a second after the swap; beside it the longest of a new connection's first statements afterwards, when nothing is locked: it meets the partitions for the first time, as each writer does after the swap.",
      head: [
        ...["leaves", "swaps", "held, median", "held, worst", "longest statement, median", "worst"],
        ...["wait for the locks, worst", "first statements, median", "keys drained inside, median"],
      ],
      rows: (["cutover", "cutover-1000"] as const)
        .filter(measured)
        .map((part) => [
          part === "cutover" ? "28" : "1,000",
          String(valuesOf(result, part, "heldMs").length),
          ...["heldMs", "writerStallMs"].flatMap((name) => [
            cell(of(part, name)),
            cell(Math.max(...valuesOf(result, part, name))),
          ]),
          cell(worst(valuesOf(result, part, "lockWaitMs"))),
          cell(of(part, "freshMs")),
          cell(of(part, "drainedKeys"), 0),
        ]),
    },
    ...result.profiles.map(({ part, statements }) => ({
      title: `Inside the lock (${part === "cutover" ? "28" : "1,000"} leaves, one swap with each statement logged)`,
      head: ["statement", "ms", "times"],
      rows: statements.slice(0, 8).map(({ statement, ms, count }) => [statement, cell(ms, 2), String(count)]),
    })),
    {
      title: "What the process takes",
      head: [
        "run",
        "memory MB",
        "processor, of one core",
        "extra disk, MB at the peak",
        "apply keys/s",
        "resume s",
      ],
      rows: ["partway", "partway-500", "partway-half", "partway-wal", "apply", "resume"]
        .filter(measured)
        .map((part) => [
          part,
          cell(of(part, "rssMb"), 0),
          percent(of(part, "cpuShare")),
          of(part, "extraDisk") === null ? "-" : cell((of(part, "extraDisk") ?? 0) / 1e6, 0),
          cell(of(part, "applyPerSecond"), 0),
          cell(of(part, "resumeSeconds"), 2),
        ]),
    },
    growthTable(result),
    {
      title: "Targets",
      head: ["target", "asked", "measured", "verdict"],
      rows: judged(result).map(({ name, bound, measured: value, verdict }) => [name, bound, value, verdict]),
    },
    {
      title: "Not measured in this run",
      head: ["part", "why"],
      rows: result.skipped.map(({ part, why }) => [part, why]),
    },
  ];
  return tables.filter(({ rows }) => rows.length > 0);
}

function growthTable(result: Result): Table {
  const grown = result.measurements.filter(({ round }) => round === "growth");
  return {
    title: "Growth (one run of each)",
    head: [
      "of",
      "total s",
      "with validation s",
      "backlog after the indexes, keys",
      "drained in s",
      "held ms",
      "memory MB",
      "processor s",
    ],
    rows: grown.map(({ part, values }) => [
      part,
      ...[cell(values["seconds"]), cell(values["secondsWithValidation"]), cell(values["backlogKeys"], 0)],
      ...[cell(values["drainSeconds"], 2), cell(values["heldMs"]), cell(values["rssMb"], 0)],
      cell(values["cpuSeconds"]),
    ]),
  };
}

export function terminalTable(result: Result): string {
  return tablesOf(result)
    .map(({ title, head, rows }) => {
      const widths = head.map((name, i) =>
        Math.max(name.length, ...rows.map((row) => (row[i] ?? "").length)),
      );
      const line = (cells: readonly string[]) =>
        cells
          .map((text, i) => (i === 0 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0)))
          .join("  ");
      return [title, line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join(
        "\n",
      );
    })
    .join("\n\n");
}

/** A result as tables: the same ones on the terminal and in the README. Pure. */

import { medianOf, type Of, type Result, ratiosOf, valuesOf } from "./result.js";
import { median } from "./stats.js";
import { judged } from "./targets.js";

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
  ["partway", "Partway, no writers", "floor"],
  ["partway-500", "Partway under 500 writes/s", "floor"],
  ["partway-half", "Partway under half of the server's writes", "floor"],
  ["keyset", "batches by key into an indexed shadow", "floor"],
  ["mirror", "the same with mirror triggers, under 500 writes/s", "floor"],
  ["floor-debian", "floor on Debian's server", "floor-debian"],
  ["partman", "pg_partman's partition_data_proc", "floor-debian"],
  ["repack", "pg_repack (a rebuild; makes no partitions)", "floor-debian"],
] as const;

const SPANS = ["before", "shadow", "copy", "index", "validate", "cutover", "window", "drop", "after"];

const STATES = [
  ["none", "no migration"],
  ["capture", "capture installed"],
  ["window", "in the window: partitions and reverse capture"],
  ["after", "after the end: partitions alone"],
] as const;

/** Those that have at least one row. */
export function tablesOf(result: Result): Table[] {
  const of = (part: string, name: string) => medianOf(result, part, name);
  const ratio = (value: Of, base: Of) => median(ratiosOf(result, value, base));
  const measured = (part: string): boolean => result.measurements.some((one) => one.part === part);
  const tables: Table[] = [
    {
      title: "Whole migration",
      note: "Medians in seconds; a ratio is of the floor in the same round. Partway's index phase ends with VACUUM (FREEZE, ANALYZE), which the floor does not: the last two columns leave it out of Partway's, and take it into the floor's.",
      head: [
        ...["way", "runs", "copy", "index", "total", "of the floor", "with validation", "of the floor"],
        ...["WAL bytes/row", "of the floor", "both without VACUUM", "both with it"],
      ],
      rows: WAYS.filter(([part]) => measured(part)).map(([part, name, base]) => [
        ...[name, String(valuesOf(result, part, "seconds").length)],
        ...[cell(of(part, "copySeconds")), cell(of(part, "indexSeconds")), cell(of(part, "seconds"))],
        cell(ratio([part, "seconds"], [base, "seconds"]), 2),
        cell(of(part, "secondsWithValidation")),
        cell(ratio([part, "secondsWithValidation"], [base, "seconds"]), 2),
        cell(of(part, "walPerRow"), 0),
        cell(ratio([part, "walPerRow"], [base, "walPerRow"]), 2),
        cell(ratio([part, "secondsWithoutVacuum"], [base, "seconds"]), 2),
        of(part, "secondsWithoutVacuum") === null
          ? "-"
          : cell(ratio([part, "seconds"], [base, "secondsWithVacuum"]), 2),
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
    ...["partway-500", "partway-half"].map((part) => ({
      title: `Writers at ${part === "partway-500" ? "500" : cell(of(part, "offered"), 0)} statements a second`,
      note: "Latency in ms from the moment a statement was due, so that waiting behind a stall counts.",
      head: ["span", "answers/s", "p50", "p99", "p99.9", "max", "errors"],
      rows: SPANS.filter((span) => of(part, `${span}.p99`) !== null).map((span) => [
        span,
        cell(of(part, `${span}.perSecond`), 0),
        ...["p50", "p99", "p999", "max"].map((name) => cell(of(part, `${span}.${name}`))),
        cell(of(part, `${span}.errors`), 0),
      ]),
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
      title: "Cutover under 4 writing clients",
      note: "Milliseconds. The longest statement of a writer around the swap; beside it the longest of a new connection's first statements afterwards, when nothing is locked: it meets the partitions for the first time, as each writer does after the swap.",
      head: [
        ...["leaves", "swaps", "held, median", "held, worst", "longest statement, median", "worst"],
        ...["first statements, median", "keys drained inside, median"],
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
      rows: ["partway", "partway-500", "partway-half", "apply", "resume"]
        .filter(measured)
        .map((part) => [
          part,
          cell(of(part, "rssMb"), 0),
          of(part, "cpuShare") === null ? "-" : `${cell((of(part, "cpuShare") ?? 0) * 100)}%`,
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

/** Keeps what was measured: a line on the terminal and the JSON file, after each measurement. */
import { messageOf } from "../../src/errors.js";
import { type Measured, type Measurement, type Result, writeWhole } from "./result.js";
import { svg } from "./svg.js";

export class Recorder {
  readonly result: Result;
  readonly #file: string;
  #closed = false;

  constructor(file: string, result: Result) {
    this.#file = file;
    this.result = result;
    this.#write();
  }

  /** The run is cut off: what fails from now on fails for that reason, and is not kept. */
  close(): void {
    this.#closed = true;
  }

  /** Measures, tells and keeps. What fails is told and kept as not measured: the next part goes on. */
  async measure(part: string, round: string, work: () => Promise<Record<string, number>>): Promise<void> {
    await this.measureOverTime(part, round, async () => ({ values: await work() }));
  }

  /** The same for what has a timeline too. */
  async measureOverTime(part: string, round: string, work: () => Promise<Measured>): Promise<void> {
    const from = performance.now();
    try {
      this.#keep({ part, round, at: new Date().toISOString(), ...(await work()) }, from);
    } catch (error) {
      this.skip(part, messageOf(error));
    }
  }

  skip(part: string, why: string): void {
    if (this.#closed) return;
    const line = why.replace(/\s+/g, " ").trim();
    console.log(`${part}: not measured: ${line}`);
    this.result.skipped.push({ part, why: line.slice(0, 600) });
    this.#write();
  }

  profile(part: string, statements: Result["profiles"][number]["statements"]): void {
    this.result.profiles.push({ part, statements });
    this.#write();
  }

  finish(): void {
    this.result.finished = new Date().toISOString();
    this.#write();
  }

  /** The picture beside the numbers: a run that is cut off has both. */
  #write(): void {
    writeWhole(this.#file, `${JSON.stringify(this.result, null, 2)}\n`);
    writeWhole(this.#file.replace(/(\.json)?$/, ".svg"), svg(this.result));
  }

  #keep(measurement: Measurement, from: number): void {
    const { values } = measurement;
    this.result.measurements.push(measurement);
    this.#write();
    const told = Object.entries(values)
      .filter(([name]) => TOLD.has(name))
      .map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`);
    const took = ((performance.now() - from) / 1000).toFixed(0);
    console.log(`${measurement.part} (${measurement.round}, ${took} s with set-up): ${told.join(", ")}`);
  }
}

/** The names worth a glance while it runs; the file has all. */
const TOLD = new Set([
  ...[
    "seconds",
    "secondsWithValidation",
    "copySeconds",
    "indexSeconds",
    "vacuumSeconds",
    "walPerRow",
    "rssMb",
  ],
  ...["cpuShare", "heldMs", "writerStallMs", "longestStallMs", "before.p99", "copy.p99", "window.p99"],
  ...["window_first.p99", "window_rest.p99"],
  ...[
    "none",
    "capture",
    "window",
    "captureKept",
    "windowKept",
    "afterKept",
    "throughputKept",
    "applyPerSecond",
  ],
  ...["resumeSeconds", "backlogKeys", "drainSeconds"],
]);

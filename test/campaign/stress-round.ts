/**
 * One round of the stress campaign: a table of some shape under writers at full speed, migrated by the real command
 * line, which is killed and resumed at random; then rolled back, finalized or aborted; then the proof.
 */
import { setTimeout as delay } from "node:timers/promises";
import { AppConnection, Stopwatch } from "../../src/demo/application.js";
import { Random } from "../../src/demo/random.js";
import { messageOf } from "../../src/errors.js";
import { freshFolder, type Line } from "../cli/support.js";
import { mixOf } from "../support/writers/mix.js";
import { SHAPES, schemeOf } from "../support/writers/shapes.js";
import { writtenTable } from "../support/writers/table.js";
import { createItems, startWriters, type Writers } from "../support/writers/writers.js";
import type { Choice, Ending } from "./stress-choice.js";
import { leftovers } from "./stress-leftovers.js";
import { Operator } from "./stress-operator.js";
import { Pacer } from "./stress-pacer.js";

export interface RoundResult {
  /** What went wrong; empty: the round is good. */
  faults: string[];
  log: string[];
  endings: Record<Ending, number>;
  kills: number;
  stops: number;
  freezes: number;
  lockBusy: number;
  commits: number;
  statements: number;
  rowsCompared: number;
  truncates: number;
  /** How often every connection of the application was cut, and how many outcomes were asked for after it. */
  cuts: number;
  unknownOutcomes: number;
  copyRestarts: number;
  validations: number;
  /** Rows lost, extra or changed by the ledger. */
  differences: number;
  applicationErrors: number;
  staleSnapshots: number;
  retries: number;
  paced: number;
  seconds: number;
}

const SETTINGS = ["--lock-tries", "2000", "--hold-budget", "10s"];

/** Runs the round on the server; `cli` is the compiled command line. */
export async function stressRound(superuserUrl: string, cli: string, choice: Choice): Promise<RoundResult> {
  const name = `stress_${choice.seed}`;
  const at = performance.now();
  const owner = await ownDatabase(superuserUrl, name);
  try {
    const round = new Round(owner, cli, choice);
    return { ...(await round.play()), seconds: (performance.now() - at) / 1_000 };
  } finally {
    await asAdmin(superuserUrl, async (db) => {
      await db.control(`DROP DATABASE ${name} WITH (FORCE)`);
      await db.control(`DROP ROLE ${name}`);
    });
  }
}

class Round {
  readonly #url: string;
  readonly #cli: string;
  readonly #choice: Choice;
  readonly #random: Random;
  /** What is done to the table beside the operator: apart, so that the one's choices do not move the other's. */
  readonly #beside: Random;
  readonly #began = performance.now();
  readonly #result: Omit<RoundResult, "seconds"> = {
    ...{ faults: [], log: [], endings: { rollback: 0, finalize: 0, abort: 0 } },
    ...{
      kills: 0,
      stops: 0,
      freezes: 0,
      lockBusy: 0,
      commits: 0,
      statements: 0,
      rowsCompared: 0,
      truncates: 0,
    },
    ...{
      copyRestarts: 0,
      validations: 0,
      differences: 0,
      applicationErrors: 0,
      staleSnapshots: 0,
      cuts: 0,
      unknownOutcomes: 0,
    },
    ...{ retries: 0, paced: 0 },
  };

  constructor(url: string, cli: string, choice: Choice) {
    this.#url = url;
    this.#cli = cli;
    this.#choice = choice;
    this.#random = new Random(choice.seed + 500_000);
    this.#beside = new Random(choice.seed + 600_000);
  }

  async play(): Promise<Omit<RoundResult, "seconds">> {
    const { seed, rows, maxRows, bulk, clients, truncates, fillfactor, nullable } = this.#choice;
    const shape = SHAPES[this.#choice.shape];
    const table = writtenTable({
      shape,
      scheme: schemeOf(this.#choice.scheme, shape),
      truncates: truncates > 0,
    });
    await createItems(this.#url, table, { rows, seed, fillfactor, nullable });
    const mix = mixOf(this.#choice.mix);
    const writers = await startWriters({ url: this.#url, table, mix, clients, seed, rows, maxRows, bulk });
    const folder = freshFolder(this.#cli, this.#url);
    try {
      for (const [i, ending] of this.#choice.endings.entries()) {
        await this.#migrate(writers, folder, `state${i}`, ending, table.scheme.options);
        this.#result.endings[ending]++;
        await this.#prove(writers, `after ${ending}`);
        const left = await asAdmin(this.#url, (db) => leftovers(db, this.#choice.endings.slice(0, i + 1)));
        for (const line of left) this.#fault(`left after ${ending}: ${line}`);
      }
    } catch (error) {
      this.#fault(messageOf(error));
      await this.#prove(writers, "after the failure").catch((more: unknown) => this.#fault(messageOf(more)));
    } finally {
      await writers.stop();
      await folder.remove();
    }
    this.#take(writers);
    return this.#result;
  }

  async #migrate(
    writers: Writers,
    folder: ReturnType<typeof freshFolder>,
    state: string,
    ending: Ending,
    scheme: readonly string[],
  ): Promise<void> {
    const { workers, kills, backup, truncates, capture } = this.#choice;
    const pacer = new Pacer((ms) => writers.pace(ms), capture === "wal" ? 1_000 : 200);
    let truncatesLeft = truncates;
    let cutsLeft = this.#choice.cuts;
    /** What is done to the table meanwhile; to be waited for before the next step. */
    const meanwhile: Promise<void>[] = [];
    const calm = async () => void (await Promise.all(meanwhile));
    const operator = new Operator(folder, state, this.#random, kills, {
      log: (line) => this.#log(line),
      heard: (line) => {
        pacer.heard(line);
        if (line.event === "copy-restarted") this.#result.copyRestarts++;
        if (line.event === "validation") this.#result.validations++;
        this.#log(`  ${told(line)}`);
        // Not before the plan is stored: it takes its leaves from the rows it finds.
        if (line.event === "phase" && line["phase"] === "copy" && truncatesLeft > 0) {
          truncatesLeft--;
          meanwhile.push(this.#truncate(writers, "table", 2_500));
        }
        if (line.event === "phase" && cutsLeft > 0) {
          cutsLeft--;
          meanwhile.push(this.#cut(writers));
        }
      },
      ended: () => pacer.ended(),
    });
    const run = [
      ...["run", "items", ...scheme, "--yes", "--no-hold", "--workers", String(workers)],
      ...["--batch-blocks", "16", ...(backup ? [] : ["--no-backup"]), ...SETTINGS],
      ...(capture === "wal" ? ["--capture", "wal"] : []),
    ];
    try {
      if (ending === "abort") {
        const until = ["--until", "validate"];
        if (this.#random.chance(0.5)) await operator.killed([...run, ...until]);
        if ((await operator.outcome()) === null || this.#random.chance(0.5))
          await operator.reach("ready-for-cutover", [...run, ...until], [...until, ...SETTINGS]);
        await calm();
        // A resume in between must not run on past the cutover.
        await operator.reach("aborted", ["abort", ...SETTINGS], [...until, ...SETTINGS]);
        return;
      }
      await this.#toTheWindow(operator, run, calm);
      await this.#window(writers, operator, calm);
      if (ending === "rollback") {
        const during =
          truncates > 0 && this.#random.chance(0.5) ? this.#truncate(writers, "leaf", 800) : null;
        await operator.reach("rolled-back", ["rollback", "--no-hold", ...SETTINGS], SETTINGS);
        await during;
      } else
        await operator.reach("done", ["finalize", "--force", "items", "--no-hold", ...SETTINGS], SETTINGS);
    } finally {
      await calm();
      pacer.ended();
      this.#result.paced += pacer.times;
      const { kills: killed, stops, freezes, lockBusy } = operator;
      this.#result.kills += killed;
      this.#result.stops += stops;
      this.#result.freezes += freezes;
      this.#result.lockBusy += lockBusy;
    }
  }

  /** In one run, or to the point of being ready, compared again by `verify`, and then cut over. */
  async #toTheWindow(operator: Operator, run: readonly string[], calm: () => Promise<void>): Promise<void> {
    if (this.#random.chance(0.6)) return operator.reach("retained", run, SETTINGS);
    const until = ["--until", "validate"];
    await operator.reach("ready-for-cutover", [...run, ...until], [...until, ...SETTINGS]);
    await calm();
    // After a truncation the sides differ until a process has started the copy again.
    // And what is read from the log is the run's alone to compare.
    if (this.#choice.truncates === 0 && this.#choice.capture === "trigger") {
      await operator.once(["verify"]);
      this.#result.validations++;
    }
    await operator.reach("retained", ["cutover", "--no-hold", ...SETTINGS], SETTINGS);
  }

  /** The application goes on in the retention window; both sides are compared. */
  async #window(writers: Writers, operator: Operator, calm: () => Promise<void>): Promise<void> {
    await this.#more(writers, 60 + this.#random.below(200));
    await calm();
    await this.#prove(writers, "in the window");
    if (this.#choice.truncates > 0)
      await this.#truncate(writers, this.#random.chance(0.5) ? "leaf" : "table", 300);
    await this.#more(writers, 30 + this.#random.below(100));
    if (operator.killsLeft > 0)
      await operator.reach("retained", ["resume", "--no-hold", ...SETTINGS], SETTINGS);
    // Uninterrupted: a process that was killed may not have followed a truncation yet.
    await operator.once(["resume", "--no-hold", ...SETTINGS]);
    await operator.once(["verify"]);
    this.#result.validations++;
  }

  async #truncate(writers: Writers, what: "table" | "leaf", withinMs: number): Promise<void> {
    try {
      await delay(this.#beside.below(withinMs));
      const done = await writers.truncate(what);
      this.#log(`TRUNCATE of the ${what}: ${done}`);
      if (done === "done") this.#result.truncates++;
    } catch (error) {
      this.#fault(`TRUNCATE of the ${what}: ${messageOf(error)}`);
    }
  }

  /** Cuts every connection of the application, most of them in the middle of something. */
  async #cut(writers: Writers): Promise<void> {
    try {
      await delay(this.#beside.below(1_000));
      await writers.cut();
      this.#log("the application's connections were cut");
      this.#result.cuts++;
    } catch (error) {
      this.#fault(`cutting the connections: ${messageOf(error)}`);
    }
  }

  /** Resolves when the writers have committed so many more times, or seem to hang. */
  async #more(writers: Writers, commits: number): Promise<void> {
    const until = writers.report().commits + commits;
    const deadline = performance.now() + 60_000;
    while (writers.report().commits < until) {
      if (performance.now() > deadline) throw new Error(`the writers made no ${commits} commits in a minute`);
      await delay(10);
    }
  }

  async #prove(writers: Writers, when: string): Promise<void> {
    const { rows, lost, extra, changed, examples } = await writers.compare();
    this.#log(`${when}: ${rows} rows, lost ${lost}, extra ${extra}, changed ${changed}`);
    this.#result.rowsCompared += rows;
    this.#result.differences += lost + extra + changed;
    if (lost + extra + changed > 0)
      this.#fault(
        `${when}: lost ${lost}, extra ${extra}, changed ${changed}:\n    ${examples.join("\n    ")}`,
      );
  }

  #take(writers: Writers): void {
    const report = writers.report();
    const sum = (counts: Record<string, number>) => Object.values(counts).reduce((a, b) => a + b, 0);
    this.#result.commits = report.commits;
    this.#result.statements = report.statements;
    this.#result.applicationErrors = report.errorCount;
    this.#result.retries = sum(report.retries);
    this.#result.staleSnapshots = report.counts["stale snapshot"] ?? 0;
    this.#result.unknownOutcomes = report.counts["outcome asked for"] ?? 0;
    this.#log(`${JSON.stringify(report.retries)} ${JSON.stringify(report.counts)}`);
    for (const { code, message } of report.errors.slice(0, 10))
      this.#fault(`application: ${code} ${message}`);
  }

  #fault(what: string): void {
    this.#log(`FAULT ${what}`);
    this.#result.faults.push(what);
  }

  #log(line: string): void {
    this.#result.log.push(`${((performance.now() - this.#began) / 1_000).toFixed(2)} ${line}`);
  }
}

/** An event as one line, without what all events say. */
function told(line: Line): string {
  const { event, at, migration, ...fields } = line;
  return `${event} ${JSON.stringify(fields)}`.slice(0, 400);
}

/** A database owned by a role of the same name that is no superuser; gives the owner's URL. */
async function ownDatabase(superuserUrl: string, name: string): Promise<string> {
  const url = new URL(superuserUrl);
  url.pathname = `/${name}`;
  await asAdmin(superuserUrl, async (db) => {
    await db.control(`CREATE ROLE ${name} LOGIN REPLICATION PASSWORD 'stress'`);
    await db.control(`CREATE DATABASE ${name} OWNER ${name}`);
  });
  await asAdmin(url.href, (db) => db.control(`ALTER SCHEMA public OWNER TO ${name}`));
  url.username = name;
  url.password = "stress";
  return url.href;
}

async function asAdmin<T>(url: string, work: (db: AppConnection) => Promise<T>): Promise<T> {
  const db = new AppConnection(url, new Stopwatch(), false);
  await db.connect();
  try {
    return await work(db);
  } finally {
    await db.end();
  }
}

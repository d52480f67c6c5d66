/**
 * The stress campaign: for so many minutes round after round, each a table of a random shape under writers at full
 * speed, migrated by the real command line that is killed and resumed at random, and compared with an exact ledger.
 *
 *   npm run campaign:stress -- --version 14..18 --minutes M [--seed S] [--jobs 1] [--rounds N]
 *                              [--shape int|identity|uuid|text|composite] [--scheme "month date"] [--mix bulk] [--capture wal]
 *                              [--keep dir]
 *
 * Round n has seed S + n: `--seed <its seed> --rounds 1` replays it. Prints a line a round, then one table.
 */
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { messageOf } from "../../src/errors.js";
import { startOwnServer } from "../support/server.js";
import { versionOf } from "../support/versions.js";
import { SHAPE_NAMES } from "../support/writers/shapes.js";
import { type Choice, choose } from "./stress-choice.js";
import { type RoundResult, stressRound } from "./stress-round.js";

const CLI = join(import.meta.dirname, "../../dist/src/cli.js");

const { values } = parseArgs({
  options: {
    version: { type: "string", default: "15" },
    minutes: { type: "string", default: "5" },
    rounds: { type: "string", default: "1000000" },
    seed: { type: "string" },
    jobs: { type: "string", default: "1" },
    shape: { type: "string" },
    scheme: { type: "string" },
    mix: { type: "string" },
    capture: { type: "string" },
    keep: { type: "string" },
  },
});

const version = versionOf(values.version);
const base = Number(values.seed ?? Date.now() % 1_000_000);
const until = performance.now() + Number(values.minutes) * 60_000;
const shape = SHAPE_NAMES.find((name) => name === values.shape);
const asked: Partial<Choice> = {
  ...(shape === undefined ? {} : { shape }),
  ...(values.scheme === undefined ? {} : { scheme: values.scheme }),
  ...(values.mix === undefined ? {} : { mix: values.mix }),
  ...(values.capture === "wal" ? { capture: "wal" } : {}),
};

const label = (choice: Choice) =>
  `${choice.shape} by ${choice.scheme}, mix ${choice.mix}${choice.truncates > 0 ? ", truncates" : ""}, ${choice.endings.join(" then ")}`;

interface Done {
  choice: Choice;
  result: RoundResult;
}

const done: Done[] = [];
let next = 0;
let logs: string | null = values.keep ?? null;

function keepLog(seed: number, lines: readonly string[]): string {
  logs ??= mkdtempSync(join(tmpdir(), "partway-stress-"));
  mkdirSync(logs, { recursive: true });
  const file = join(logs, `round-${version}-${seed}.log`);
  writeFileSync(file, `${lines.join("\n")}\n`);
  return file;
}

function tell({ choice, result }: Done): void {
  const { faults, kills, stops, commits, rowsCompared, paced, seconds } = result;
  const words = [
    `${faults.length === 0 ? "ok  " : "FAIL"} seed ${choice.seed}: ${label(choice)}:`,
    `${kills + stops} kills, ${commits} commits, ${rowsCompared} rows compared,`,
    `${paced > 0 ? `paced ${paced} times, ` : ""}${seconds.toFixed(1)} s`,
  ];
  console.log(words.join(" "));
  if (faults.length === 0 && values.keep === undefined) return;
  const file = keepLog(choice.seed, [JSON.stringify(choice), ...result.log]);
  if (faults.length === 0) return;
  for (const fault of faults.slice(0, 5)) console.log(`  ${fault}`);
  console.log(`  log: ${file}`);
  console.log(`  again: ${again(choice.seed)}`);
}

function again(seed: number): string {
  const options = Object.entries({
    shape: values.shape,
    scheme: values.scheme,
    mix: values.mix,
    capture: values.capture,
  });
  const given = options.flatMap(([name, value]) => (value === undefined ? [] : [` --${name} "${value}"`]));
  return `npm run campaign:stress -- --version ${version} --seed ${seed} --rounds 1${given.join("")}`;
}

async function job(): Promise<void> {
  const server = await startOwnServer(version);
  try {
    while (performance.now() < until && next < Number(values.rounds)) {
      const choice = choose(base + next++, asked);
      const result = await stressRound(server.superuserUrl, CLI, choice);
      done.push({ choice, result });
      tell({ choice, result });
    }
  } finally {
    await server.stop();
  }
}

if (!existsSync(CLI)) throw new Error(`${CLI} is not there: npm run build`);
console.log(`stress on PostgreSQL ${version}, ${values.minutes} minutes, seed ${base}`);
const started = performance.now();
const ended = await Promise.allSettled(Array.from({ length: Number(values.jobs) }, job));
const broken = ended.flatMap((end) => (end.status === "rejected" ? [messageOf(end.reason)] : []));

const sum = (of: (result: RoundResult) => number) =>
  done.reduce((total, { result }) => total + of(result), 0);
const bad = done.filter(({ result }) => result.faults.length > 0);
const table: [string, string | number][] = [
  ["version", version],
  ["rounds", done.length],
  ["migrations", sum(({ endings }) => endings.rollback + endings.finalize + endings.abort)],
  [
    "rollbacks / finalizes / aborts",
    ["rollback", "finalize", "abort"].map((e) => sum(({ endings }) => endings[e as "abort"])).join(" / "),
  ],
  [
    "SIGKILLs / safe stops / freezes",
    `${sum((r) => r.kills)} / ${sum((r) => r.stops)} / ${sum((r) => r.freezes)}`,
  ],
  ["commits", sum((r) => r.commits)],
  ["statements", sum((r) => r.statements)],
  ["rows compared with the ledger", sum((r) => r.rowsCompared)],
  ["TRUNCATEs / copies started again", `${sum((r) => r.truncates)} / ${sum((r) => r.copyRestarts)}`],
  ["connections cut / outcomes asked for", `${sum((r) => r.cuts)} / ${sum((r) => r.unknownOutcomes)}`],
  ["validations under load", sum((r) => r.validations)],
  ["differences", sum((r) => r.differences)],
  ["application errors", sum((r) => r.applicationErrors)],
  ["retries by the application", sum((r) => r.retries)],
  ["old snapshots after a swap", sum((r) => r.staleSnapshots)],
  ["runs that ended lock-busy", sum((r) => r.lockBusy)],
  ["writers slowed down for a drain", sum((r) => r.paced)],
  ["seconds", Math.round((performance.now() - started) / 1_000)],
  ["failed rounds", bad.length],
];
console.log(table.map(([name, value]) => `| ${name} | ${value} |`).join("\n"));
for (const { choice } of bad) console.log(`failed: ${again(choice.seed)}`);
for (const why of broken) console.log(`the campaign itself failed: ${why}`);
process.exitCode = bad.length + broken.length === 0 && done.length > 0 ? 0 : 1;

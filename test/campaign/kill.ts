/**
 * The kill campaign: SIGKILL before and after every numbered change (database, journal, backup files) of a migration,
 * a rollback, a finalize and an abort, under a live writer with an exact ledger; then `partway resume` to the end, and
 * the proof (kill-scene.ts).
 *
 *   npm run campaign:kill -- [--version 14..18] [--scenario migrate|rollback|finalize|abort] [--jobs 3]
 *       [--every k] [--double] [--seed n] [--only before:17] [--minutes m] [--left FILE] [--capture wal]
 *
 * `--every k` takes every k-th point; `--minutes` begins no case after that time and says how many were not run;
 * `--double` kills the resume too, at a point drawn from the seed. Two copy workers and a live writer make the numbers
 * differ a little from run to run, so that a number may be another statement's: a number that a run does not come to is
 * told apart from a pass, and afterwards each kind of statement that no number has met is killed by name. `--left`
 * does the latter alone, for what a former run printed into FILE as never killed.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Random } from "../../src/demo/random.js";
import { messageOf } from "../../src/errors.js";
import { kindOf } from "../../src/kill-switch.js";
import { bundleCli } from "../support/bundle.js";
import { asAdmin } from "../support/database.js";
import { startOwnServer } from "../support/server.js";
import { versionOf } from "../support/versions.js";
import { type Base, type Place, prepare, Run, SCENARIOS, type Scenario } from "./kill-scene.js";

const { values } = parseArgs({
  options: {
    version: { type: "string", default: "15" },
    scenario: { type: "string" },
    every: { type: "string", default: "1" },
    double: { type: "boolean", default: false },
    only: { type: "string" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    jobs: { type: "string", default: "3" },
    minutes: { type: "string", default: "600" },
    left: { type: "string" },
    capture: { type: "string", default: "trigger" },
  },
});
const version = versionOf(values.version);
const seed = Number(values.seed);
const capture = values.capture === "wal" ? "wal" : "trigger";
const deadline = Date.now() + Number(values.minutes) * 60_000;

/** Runs beyond the longest count that the campaign still tries to reach. */
const BEYOND = 2;

type When = "before" | "after";

interface Case {
  when: When;
  /** A point's number, or a kind of point. */
  at: number | string;
}

interface Tally {
  scenario: Scenario;
  points: number;
  kinds: Set<string>;
  killed: { before: Set<string>; after: Set<string> };
  before: number;
  after: number;
  second: number;
  notReached: number;
  notRun: number;
  /** Killed by kind, not by number. */
  swept: number;
  passed: number;
  failed: number;
  seconds: number;
}

let clones = 0;

/** One case from clone to verdict. */
async function once(place: Place, base: Base, { when, at }: Case, tally: Tally): Promise<string[]> {
  clones += 1;
  const number = clones;
  const run = await Run.open(place, base, number);
  const n = typeof at === "number" ? at : 1;
  try {
    const first = await (typeof at === "number"
      ? run.first(`${when}:${at}`)
      : atKind(join(place.dir, `${number}.kind`), run, when, at));
    const label = first.diedAt;
    if (label !== null) {
      tally[when] += 1;
      tally.killed[when].add(kindOf(label));
    } else tally.notReached += 1;
    if (!first.killed && first.code !== 0) return [`exit ${first.code}: ${first.output.slice(-900)}`];
    const random = new Random(seed * 10_000 + n * 2 + (when === "after" ? 1 : 0));
    const second = `${random.chance(0.5) ? "before" : "after"}:${1 + random.below(Math.max(4, tally.points - n + 12))}`;
    if (values.double && first.killed && (await run.next(second))?.killed === true) tally.second += 1;
    const why = [...(await run.toTheEnd()), ...(await run.check())];
    return why.length === 0
      ? []
      : [`${label ?? "not reached"}${values.double ? `, then ${second}` : ""}`, ...why];
  } finally {
    await run.close();
  }
}

/** Dies at the first point of this kind. */
function atKind(file: string, run: Run, when: When, kind: string): ReturnType<Run["first"]> {
  writeFileSync(file, kind);
  return run.first(`${when}:listed`, { PARTWAY_TEST_KILL_KINDS: file });
}

/** How many points there are, and which: two uninterrupted runs, because two workers do not always make the same. */
async function count(place: Place, base: Base, tally: Tally): Promise<void> {
  for (let i = 0; i < 2; i++) {
    clones += 1;
    const run = await Run.open(place, base, clones);
    try {
      const { code, output, labels } = await run.first("count");
      const why = code === 0 ? await run.check() : [output.slice(-900)];
      if (why.length > 0) throw new Error(`${base.scenario}, uninterrupted: ${why.join("; ")}`);
      tally.points = Math.max(tally.points, labels.length);
      for (const label of labels) tally.kinds.add(kindOf(label));
    } finally {
      await run.close();
    }
  }
}

function casesOf(tally: Tally): Case[] {
  const only = /^(before|after):(\d+)$/.exec(values.only ?? "");
  if (only !== null) return [{ when: only[1] === "after" ? "after" : "before", at: Number(only[2]) }];
  if (values.left !== undefined) return [];
  const cases: Case[] = [];
  const every = Number(values.every);
  for (const when of ["before", "after"] as const)
    for (let n = 1; n <= tally.points + (every === 1 ? BEYOND : 0); n += every) cases.push({ when, at: n });
  return cases;
}

/** A kind that depends on timing may not come at the first try. */
const TRIES = 4;
const SHOWN = 140;
const WHENS: readonly When[] = ["before", "after"];

/** The kinds that no number has met, or that a former run left. */
function kindsLeft(tally: Tally): Case[] {
  if (values.every !== "1" || values.only !== undefined) return [];
  const left = values.left === undefined ? null : readFileSync(values.left, "utf8");
  return WHENS.flatMap((when) =>
    [...tally.kinds]
      .filter((kind) => !tally.killed[when].has(kind))
      .filter((kind) => left?.includes(never(tally, when, kind)) ?? true)
      .map((kind) => ({ when, at: kind })),
  );
}

const never = ({ scenario }: Tally, when: When, kind: string) =>
  `never killed ${when} it, in ${scenario}: ${kind.slice(0, SHOWN)}`;

async function campaign(place: Place, scenario: Scenario): Promise<Tally> {
  const started = Date.now();
  const tally: Tally = {
    ...{ scenario, points: 0, kinds: new Set(), killed: { before: new Set(), after: new Set() } },
    ...{
      before: 0,
      after: 0,
      second: 0,
      notReached: 0,
      notRun: 0,
      swept: 0,
      passed: 0,
      failed: 0,
      seconds: 0,
    },
  };
  const base = await prepare(place, scenario);
  await count(place, base, tally);
  let cases = casesOf(tally);
  let total = cases.length;
  const worker = async (): Promise<void> => {
    for (let next = cases.shift(); next !== undefined; next = cases.shift()) {
      if (Date.now() > deadline) {
        tally.notRun += 1;
        continue;
      }
      const one = next;
      const why = await once(place, base, one, tally).catch((error: unknown) => [messageOf(error)]);
      if (why.length === 0) tally.passed += 1;
      else {
        tally.failed += 1;
        const again = `--version ${version} --scenario ${scenario} --only ${one.when}:${one.at}${values.double ? " --double" : ""} --capture ${capture} --seed ${seed}`;
        console.log(
          `FAIL ${scenario} ${one.when}:${one.at} ${why.join("\n  ")}\n  again: npm run campaign:kill -- ${again}`,
        );
      }
      const done = tally.passed + tally.failed;
      if (done % 50 === 0)
        console.log(`  ${scenario}: ${done}/${total}, ${tally.failed} failed, ${since(started)} s`);
    }
  };
  const all = () => Promise.all(Array.from({ length: Number(values.jobs) }, worker));
  await all();
  for (let tries = 0; tries < TRIES; tries++) {
    cases = kindsLeft(tally);
    if (cases.length === 0) break;
    total += cases.length;
    tally.swept += cases.length;
    await all();
  }
  tally.seconds = since(started);
  return tally;
}

const since = (started: number) => Math.round((Date.now() - started) / 1000);

function table(tallies: readonly Tally[]): void {
  console.log(
    "\n| scenario | points | kinds | kills before (kinds) | kills after (kinds) | second kills | by kind | not reached | not run | passed | failed | s |",
  );
  console.log("|---|---|---|---|---|---|---|---|---|---|---|---|");
  for (const t of tallies)
    console.log(
      `| ${t.scenario} on ${version} | ${t.points} | ${t.kinds.size} | ${t.before} (${t.killed.before.size}) | ${t.after} (${t.killed.after.size}) | ${t.second} | ${t.swept} | ${t.notReached} | ${t.notRun} | ${t.passed} | ${t.failed} | ${t.seconds} |`,
    );
  for (const t of tallies) for (const { when, at } of kindsLeft(t)) console.log(never(t, when, String(at)));
}

// Every commit of a journal is on the disk before the next step: 250 syncs a case, and no power cut here.
if (existsSync("/dev/shm")) process.env["TMPDIR"] = "/dev/shm";
const dir = mkdtempSync(join(tmpdir(), "partway-kill-"));
const cli = bundleCli();
const server = await startOwnServer(version, { flags: ["-c", "shared_buffers=16MB"] });
let failures = 0;
try {
  console.log(
    `kill campaign on ${version}, seed ${seed}${values.double ? ", double" : ""}, every ${values.every}, capture by ${capture}`,
  );
  // A third of what a connection costs is its password, and a case makes fifty connections.
  if (server.dataDir !== null) {
    writeFileSync(join(server.dataDir, "pg_hba.conf"), "host all all all trust\nlocal all all trust\n");
    await asAdmin(server.superuserUrl, (admin) => admin.query("SELECT pg_reload_conf()"));
  }
  const place: Place = { server: server.superuserUrl, cli: cli.file, dir, prefix: "kill", capture };
  const tallies: Tally[] = [];
  for (const scenario of SCENARIOS.filter((s) => values.scenario === undefined || s === values.scenario)) {
    const tally = await campaign(place, scenario);
    tallies.push(tally);
    failures += tally.failed;
    console.log(
      `${scenario}: ${tally.points} points, ${tally.passed} passed, ${tally.failed} failed, ${tally.seconds} s`,
    );
  }
  table(tallies);
} finally {
  await server.stop();
  cli.remove();
  rmSync(dir, { recursive: true, force: true });
}
process.exitCode = failures === 0 ? 0 : 1;

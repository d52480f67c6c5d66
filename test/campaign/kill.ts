/**
 * The kill campaign: SIGKILL before and after every numbered change (database, journal, backup files) of a migration,
 * a rollback, a finalize and an abort, under a live writer with an exact ledger; then `partway resume` to the end, and
 * the proof (kill-scene.ts).
 *
 *   npm run campaign:kill -- [--version 15|18] [--scenario migrate|rollback|finalize|abort] [--jobs 3]
 *       [--every k] [--double] [--seed n] [--only before:17] [--minutes m]
 *
 * `--every k` takes every k-th point; `--minutes` begins no case after that time and says how many were not run; `--double` kills the resume too, at a point drawn from the seed. Two copy workers
 * make the numbers differ a little from run to run: a number that a run does not come to is told apart from a pass.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Random } from "../../src/demo/random.js";
import { messageOf } from "../../src/errors.js";
import { kindOf } from "../../src/kill-switch.js";
import { asAdmin } from "../support/database.js";
import { startOwnServer } from "../support/server.js";
import { bundleCli } from "./kill-bundle.js";
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
  },
});
const version = values.version === "18" ? "18" : "15";
const seed = Number(values.seed);
const deadline = Date.now() + Number(values.minutes) * 60_000;

/** Runs beyond the longest count that the campaign still tries to reach. */
const BEYOND = 2;

interface Case {
  when: "before" | "after";
  n: number;
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
  passed: number;
  failed: number;
  seconds: number;
}

let clones = 0;

/** One case from clone to verdict. */
async function once(place: Place, base: Base, { when, n }: Case, tally: Tally): Promise<string[]> {
  clones += 1;
  const run = await Run.open(place, base, clones);
  try {
    const first = await run.first(`${when}:${n}`);
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
  if (only !== null) return [{ when: only[1] === "after" ? "after" : "before", n: Number(only[2]) }];
  const cases: Case[] = [];
  const every = Number(values.every);
  for (const when of ["before", "after"] as const)
    for (let n = 1; n <= tally.points + (every === 1 ? BEYOND : 0); n += every) cases.push({ when, n });
  return cases;
}

async function campaign(place: Place, scenario: Scenario): Promise<Tally> {
  const started = Date.now();
  const tally: Tally = {
    ...{ scenario, points: 0, kinds: new Set(), killed: { before: new Set(), after: new Set() } },
    ...{ before: 0, after: 0, second: 0, notReached: 0, notRun: 0, passed: 0, failed: 0, seconds: 0 },
  };
  const base = await prepare(place, scenario);
  await count(place, base, tally);
  const cases = casesOf(tally);
  const total = cases.length;
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
        const again = `--version ${version} --scenario ${scenario} --only ${one.when}:${one.n}${values.double ? " --double" : ""} --seed ${seed}`;
        console.log(
          `FAIL ${scenario} ${one.when}:${one.n} ${why.join("\n  ")}\n  again: npm run campaign:kill -- ${again}`,
        );
      }
      const done = tally.passed + tally.failed;
      if (done % 50 === 0)
        console.log(`  ${scenario}: ${done}/${total}, ${tally.failed} failed, ${since(started)} s`);
    }
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, worker));
  tally.seconds = since(started);
  return tally;
}

const since = (started: number) => Math.round((Date.now() - started) / 1000);

function table(tallies: readonly Tally[]): void {
  console.log(
    "\n| scenario | points | kinds | kills before (kinds) | kills after (kinds) | second kills | not reached | not run | passed | failed | s |",
  );
  console.log("|---|---|---|---|---|---|---|---|---|---|---|");
  for (const t of tallies)
    console.log(
      `| ${t.scenario} on ${version} | ${t.points} | ${t.kinds.size} | ${t.before} (${t.killed.before.size}) | ${t.after} (${t.killed.after.size}) | ${t.second} | ${t.notReached} | ${t.notRun} | ${t.passed} | ${t.failed} | ${t.seconds} |`,
    );
  for (const t of tallies)
    for (const when of ["before", "after"] as const)
      for (const kind of t.kinds)
        if (!t.killed[when].has(kind) && values.every === "1" && values.only === undefined)
          console.log(`never killed ${when} it, in ${t.scenario}: ${kind.slice(0, 140)}`);
}

// Every commit of a journal is on the disk before the next step: 250 syncs a case, and no power cut here.
if (existsSync("/dev/shm")) process.env["TMPDIR"] = "/dev/shm";
const dir = mkdtempSync(join(tmpdir(), "partway-kill-"));
const cli = await bundleCli();
const server = await startOwnServer(version, { flags: ["-c", "shared_buffers=16MB"] });
let failures = 0;
try {
  console.log(
    `kill campaign on ${version}, seed ${seed}${values.double ? ", double" : ""}, every ${values.every}`,
  );
  // A third of what a connection costs is its password, and a case makes fifty connections.
  if (server.dataDir !== null) {
    writeFileSync(join(server.dataDir, "pg_hba.conf"), "host all all all trust\nlocal all all trust\n");
    await asAdmin(server.superuserUrl, (admin) => admin.query("SELECT pg_reload_conf()"));
  }
  const place: Place = { server: server.superuserUrl, cli: cli.file, dir, prefix: "kill" };
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

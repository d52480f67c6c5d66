/**
 * The kill campaign: SIGKILL before and after every numbered change (database and journal) of a migration, a rollback,
 * a finalize and an abort, under a live writer with an exact ledger; then `partway resume` to the end, and the proof.
 *
 *   npm run campaign:kill -- [--version 15|18] [--scenario migrate|rollback|finalize|abort] [--every k] [--double]
 *
 * `--every k` takes every k-th point; `--double` kills the resume too, once, at a random point. Prints one table.
 */
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { compareWithLedger, createOrders, startWriter } from "../../src/demo/writer.js";
import { ident } from "../../src/pg/quote.js";
import { resolveTarget } from "../../src/pg/resolve.js";
import { Session } from "../../src/pg/session.js";
import { type RunningServer, startOwnServer } from "../support/server.js";

const TABLE = { schema: "public", name: "orders" };
const CLI = join(import.meta.dirname, "../../dist/src/cli.js");

type Scenario = "migrate" | "rollback" | "finalize" | "abort";

interface Scene {
  url: string;
  state: string;
}

interface Result {
  code: number | null;
  signal: NodeJS.Signals | null;
  output: string;
}

const { values } = parseArgs({
  options: {
    version: { type: "string", default: "15" },
    scenario: { type: "string" },
    every: { type: "string", default: "1" },
    double: { type: "boolean", default: false },
    jobs: { type: "string", default: "2" },
  },
});

function partway(scene: Scene, args: string[], env: Record<string, string> = {}): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...args, "--state", scene.state], {
      env: { ...process.env, DATABASE_URL: scene.url, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    child.stdout.on("data", (data) => {
      output += String(data);
    });
    child.stderr.on("data", (data) => {
      output += String(data);
    });
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal, output }));
  });
}

async function sql(url: string, text: string): Promise<void> {
  const session = await Session.open(await resolveTarget({ url }, {}));
  try {
    await session.query(text);
  } finally {
    await session.end();
  }
}

const withDatabase = (url: string, name: string) => url.replace(/\/[^/]*$/, `/${name}`);

const RUN = [
  "run",
  "orders",
  "--by",
  "created_at",
  "--every",
  "quarter",
  "--ahead",
  "1",
  "--yes",
  "--no-hold",
  "--batch-blocks",
  "16",
];

/** What precedes the scenario's own command, uninterrupted. */
const BEFORE: Record<Scenario, string[][]> = {
  migrate: [],
  rollback: [[...RUN, "--no-backup"]],
  finalize: [[...RUN, "--no-backup"]],
  abort: [[...RUN, "--no-backup", "--until", "validate"]],
};
const COMMAND: Record<Scenario, string[]> = {
  migrate: RUN,
  rollback: ["rollback", "--no-hold"],
  finalize: ["finalize", "--force", "orders"],
  abort: ["abort"],
};
const OUTCOME: Record<Scenario, RegExp> = {
  migrate: /"outcome": ?"retained"/,
  rollback: /"outcome": ?"rolled-back"/,
  finalize: /"outcome": ?"done"/,
  abort: /"outcome": ?"aborted"/,
};

async function prepare(server: RunningServer, scenario: Scenario, dir: string): Promise<Scene> {
  const name = `base_${scenario}`;
  await sql(server.superuserUrl, `CREATE DATABASE ${ident(name)}`);
  const scene = { url: withDatabase(server.superuserUrl, name), state: join(dir, name) };
  const session = await Session.open(await resolveTarget({ url: scene.url }, {}));
  await createOrders(session, { ...TABLE, rows: 3000, months: 12 });
  await session.end();
  for (const args of BEFORE[scenario]) {
    const done = await partway(scene, args);
    if (done.code !== 0) throw new Error(`preparing ${scenario}: ${done.output}`);
  }
  return scene;
}

interface Verdict {
  label: string;
  ok: boolean;
  why: string;
}

let clones = 0;

async function once(
  server: RunningServer,
  base: Scene,
  scenario: Scenario,
  when: "before" | "after" | "count",
  n: number,
  dir: string,
): Promise<Verdict & { points: number }> {
  clones += 1;
  const name = `run_${scenario}_${clones}`;
  await sql(server.superuserUrl, `CREATE DATABASE ${ident(name)} TEMPLATE ${ident(`base_${scenario}`)}`);
  const scene = { url: withDatabase(server.superuserUrl, name), state: join(dir, name) };
  if (BEFORE[scenario].length > 0) cpSync(base.state, scene.state, { recursive: true });
  const log = join(dir, `${name}.points`);
  const writer = await startWriter({
    url: scene.url,
    table: TABLE,
    clients: 2,
    statementsPerSecond: 150,
    seed: clones,
  });
  const kill = when === "count" ? "count" : `${when}:${n}`;
  const why: string[] = [];
  try {
    const first = await partway(scene, COMMAND[scenario], {
      PARTWAY_TEST_KILL: kill,
      PARTWAY_TEST_KILL_LOG: log,
    });
    if (when === "count" && first.code !== 0) why.push(`uninterrupted: ${first.output.slice(-600)}`);
    if (values.double && when !== "count")
      await partway(scene, ["resume", "--no-hold"], {
        PARTWAY_TEST_KILL: `before:${1 + Math.floor(Math.random() * 40)}`,
      });
    await toTheEnd(scene, scenario, why);
    const report = await writer.stop();
    const session = await Session.open(await resolveTarget({ url: scene.url }, {}));
    const compared = await compareWithLedger(session, TABLE, report);
    if (!compared.equal) why.push(`ledger differs: ${compared.examples.slice(0, 3).join(" | ")}`);
    if (report.errors.length > 0)
      why.push(`application errors: ${JSON.stringify(report.errors.slice(0, 3))}`);
    why.push(...(await leftovers(session, scenario)));
    await session.end();
  } finally {
    await writer.stop();
  }
  const lines = readFileSync(log, "utf8").trim().split("\n");
  const label = when === "count" ? "uninterrupted" : (lines[n - 1] ?? "(not reached)");
  await sql(server.superuserUrl, `DROP DATABASE ${ident(name)} WITH (FORCE)`);
  rmSync(scene.state, { recursive: true, force: true });
  return { label, ok: why.length === 0, why: why.join("; "), points: lines.length };
}

/** Resumes until the journal says how it ended, as an operator would; three times is more than ever needed. */
async function toTheEnd(scene: Scene, scenario: Scenario, why: string[]): Promise<void> {
  let said = "";
  for (let attempt = 0; attempt < 4; attempt++) {
    const status = await partway(scene, ["status", "--json"]);
    if (OUTCOME[scenario].test(status.output)) return;
    // A process that died before its journal knew of anything is started again by the same command.
    const neverBegan = /no migration|no journal/.test(status.output);
    const again = neverBegan ? COMMAND[scenario] : ["resume", "--no-hold"];
    const done = await partway(scene, again);
    const back = scenario === "rollback" || scenario === "finalize" || scenario === "abort";
    // Killed before the wish reached the journal, the run only rests where it was: say it again.
    if (done.code === 0 && back) await partway(scene, COMMAND[scenario]);
    said = done.output;
  }
  why.push(`not ended: ${said.slice(-600)}`);
}

async function leftovers(session: Session, scenario: Scenario): Promise<string[]> {
  const { rows } = await session.query(
    `SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = 'partway')::text AS schema,
            (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'partway%' AND NOT tgisinternal)::text AS triggers,
            (SELECT relkind FROM pg_class WHERE oid = 'public.orders'::regclass)::text AS kind,
            (SELECT count(*) FROM pg_class WHERE relname IN ('orders_partitioned', 'orders_retired'))::text AS tables`,
  );
  const row = rows[0] ?? {};
  const wanted: Record<Scenario, { kind: string; schema: string }> = {
    migrate: { kind: "p", schema: "1" },
    rollback: { kind: "r", schema: "0" },
    finalize: { kind: "p", schema: "0" },
    abort: { kind: "r", schema: "0" },
  };
  const problems: string[] = [];
  if (row["kind"] !== wanted[scenario].kind) problems.push(`orders is of kind ${row["kind"]}`);
  if (row["schema"] !== wanted[scenario].schema) problems.push(`${row["schema"]} schema partway`);
  if (scenario !== "migrate" && row["triggers"] !== "0") problems.push(`${row["triggers"]} triggers left`);
  if (scenario !== "migrate" && row["tables"] !== "0") problems.push(`${row["tables"]} tables left`);
  return problems;
}

async function campaign(scenario: Scenario, server: RunningServer, dir: string): Promise<number> {
  const base = await prepare(server, scenario, dir);
  const started = Date.now();
  const plain = await once(server, base, scenario, "count", 0, dir);
  if (!plain.ok) {
    console.log(`FAIL ${scenario} uninterrupted: ${plain.why}`);
    return 1;
  }
  const cases: { when: "before" | "after"; n: number }[] = [];
  for (let n = 1; n <= plain.points; n += Number(values.every))
    cases.push({ when: "before", n }, { when: "after", n });
  const total = cases.length;
  let failed = 0;
  let done = 0;
  const worker = async (): Promise<void> => {
    for (;;) {
      const next = cases.shift();
      if (next === undefined) return;
      const verdict = await once(server, base, scenario, next.when, next.n, dir);
      done += 1;
      if (!verdict.ok) {
        failed += 1;
        console.log(`FAIL ${scenario} ${next.when} ${verdict.label}: ${verdict.why}`);
      }
      if (done % 20 === 0)
        console.log(
          `  ${scenario}: ${done}/${total}, ${failed} failed, ${Math.round((Date.now() - started) / 1000)} s`,
        );
    }
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, worker));
  const seconds = Math.round((Date.now() - started) / 1000);
  console.log(
    `${scenario} on ${values.version}: ${plain.points} points, ${total} kills, ${total - failed} passed, ${failed} failed, ${seconds} s`,
  );
  return failed;
}

const version = values.version === "18" ? "18" : "15";
const dir = mkdtempSync(join(tmpdir(), "partway-kill-"));
const server = await startOwnServer(version);
let failures = 0;
try {
  const all: Scenario[] = ["migrate", "rollback", "finalize", "abort"];
  for (const scenario of all.filter((s) => values.scenario === undefined || s === values.scenario))
    failures += await campaign(scenario, server, dir);
} finally {
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
}
process.exitCode = failures === 0 ? 0 : 1;

/**
 * The model campaign: every configuration of configs.ts, two at a time, one table. Exit 1 when any is not as expected.
 *
 *   npm run campaign:model [-- <part of a name, or a switch> [--trail]]
 *
 * --trail: instead of the table, the shortest history in which each chosen assertion fails, in words.
 */
import { check, missing, trail } from "./check.js";
import { ALL, type Config } from "./configs.js";

function line(cells: (string | number)[]): string {
  const [name = "", states = "", depth = "", extent = "", result = "", expected = "", verdict = ""] =
    cells.map(String);
  return [
    name.padEnd(58),
    states.padStart(10),
    depth.padStart(6),
    extent.padEnd(10),
    result.padEnd(21),
    expected.padEnd(21),
    verdict,
  ].join("  ");
}

interface Totals {
  wrong: number;
  states: number;
}

async function one(config: Config, totals: Totals): Promise<void> {
  const { states, depth, extent, result, seconds, asExpected } = await check(config);
  const verdict = asExpected
    ? `${seconds.toFixed(1)} s`
    : `NOT AS EXPECTED  -D${config.switches.join(" -D")}`;
  console.log(line([config.name, states, depth, extent, result, config.expect, verdict]));
  if (Number.isFinite(states)) totals.states += states;
  if (!asExpected) totals.wrong++;
}

async function table(queue: Config[]): Promise<number> {
  console.log(line(["configuration", "states", "depth", "extent", "result", "expected"]));
  const started = performance.now();
  const totals: Totals = { wrong: 0, states: 0 };
  const total = queue.length;
  const worker = async (): Promise<void> => {
    for (let config = queue.shift(); config !== undefined; config = queue.shift()) await one(config, totals);
  };
  await Promise.all([worker(), worker()]);
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log(
    `${total} configurations, ${totals.states} states in ${seconds} s, ${totals.wrong} not as expected`,
  );
  return totals.wrong === 0 ? 0 : 1;
}

async function trails(queue: Config[]): Promise<number> {
  for (const config of queue) {
    console.log(`${config.name} (-D${config.switches.join(" -D")})`);
    console.log((await trail(config)) ?? "nothing fails\n");
  }
  return 0;
}

async function main(): Promise<number> {
  const lack = missing();
  if (lack !== null) {
    console.error(lack);
    return 1;
  }
  const words = process.argv.slice(2);
  const wanted = words.find((word) => !word.startsWith("--")) ?? "";
  const queue = ALL.filter((c) => c.name.includes(wanted) || c.switches.includes(wanted));
  if (queue.length === 0) {
    console.error(`no configuration is called ${wanted}`);
    return 1;
  }
  if (!words.includes("--trail")) return table(queue);
  const failing = queue.filter((c) => c.expect !== "holds");
  if (wanted === "" || failing.length === 0) {
    console.error(
      "--trail takes the name of a configuration that fails: one rule left out, or a state reached",
    );
    return 1;
  }
  return trails(failing);
}

process.exitCode = await main();

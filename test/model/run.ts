/**
 * The model campaign: every configuration of configs.ts, two at a time, one table. Exit 1 when any is not as expected.
 *
 *   npm run campaign:model [-- <part of a name or a switch>]
 */
import { check, missing } from "./check.js";
import { ALL, type Config } from "./configs.js";

function line(cells: (string | number)[]): string {
  const [name = "", states = "", depth = "", extent = "", result = "", expected = "", verdict = ""] =
    cells.map(String);
  return [
    name.padEnd(50),
    states.padStart(10),
    depth.padStart(6),
    extent.padEnd(13),
    result.padEnd(21),
    expected.padEnd(21),
    verdict,
  ].join("  ");
}

async function one(config: Config): Promise<boolean> {
  const outcome = await check(config);
  const { states, depth, extent, result, seconds, asExpected } = outcome;
  const verdict = asExpected
    ? `${seconds.toFixed(1)} s`
    : `NOT AS EXPECTED  -D${config.switches.join(" -D")}`;
  console.log(line([config.name, states, depth, extent, result, config.expect, verdict]));
  return asExpected;
}

async function main(): Promise<number> {
  const lack = missing();
  if (lack !== null) {
    console.error(lack);
    return 1;
  }
  const wanted = process.argv[2] ?? "";
  const queue = ALL.filter((c) => c.name.includes(wanted) || c.switches.includes(wanted));
  if (queue.length === 0) {
    console.error(`no configuration is called ${wanted}`);
    return 1;
  }
  console.log(line(["configuration", "states", "depth", "extent", "result", "expected"]));
  const started = performance.now();
  let wrong = 0;
  const total = queue.length;
  const worker = async (): Promise<void> => {
    for (let config = queue.shift(); config !== undefined; config = queue.shift())
      if (!(await one(config))) wrong++;
  };
  await Promise.all([worker(), worker()]);
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log(`${total} configurations in ${seconds} s, ${wrong} not as expected`);
  return wrong === 0 ? 0 : 1;
}

process.exitCode = await main();

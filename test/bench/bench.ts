/**
 * The bench: Partway against the server's own floor and the other ways, on a server that it starts itself.
 *
 *   npm run bench -- [--server 15|18] [--rows 5000000] [--repeats 5] [--slow-repeats 2] [--swaps 20]
 *                    [--swaps-of-many 5] [--span 15] [--only floor,partway,...] [--growth] [--quick] [--out file.json]
 *   npm run bench -- --readme test/bench/results/<file>.json
 *
 * `--only wal` measures capture through the write-ahead log, on a server with wal_level = logical.
 *
 * What is compared is measured in turn (A B C A B C ...), and only values of one round are divided by each other. The
 * result is written after each measurement, so a run that is cut off leaves what it has. Needs Linux (/proc).
 */
import { PartwayError } from "../../src/errors.js";
import { markdown } from "./markdown.js";
import { parseOptions } from "./options.js";
import { readResult } from "./result.js";
import { run } from "./run.js";

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.readme === null) await run(options);
  else process.stdout.write(markdown(readResult(options.readme)));
} catch (error) {
  if (!(error instanceof PartwayError)) throw error;
  console.error(`${error.message}\n${error.next}`);
  process.exitCode = error.exitCode;
}

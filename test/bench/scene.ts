/** The server, the tables on it that are only copied, and the file of the result. */
import { join } from "node:path";
import { version } from "../../src/version.js";
import { withCopy } from "./database.js";
import type { BenchOptions } from "./options.js";
import { Recorder } from "./recorder.js";
import { type BenchServer, describeMachine, settingsOf } from "./server.js";
import { makeTemplate, monthly, type Shape } from "./table.js";

const RESULTS = join(import.meta.dirname, "results");

export interface Scene {
  options: BenchOptions;
  recorder: Recorder;
  server: BenchServer;
  /** The table most parts are measured on. */
  shape: Shape;
  /** The name of a database that holds a table of this shape and is only copied; made when first asked for. */
  template(shape: Shape): Promise<string>;
  /** Runs `work` on a copy of such a table. */
  on<T>(shape: Shape, work: (url: string) => Promise<T>): Promise<T>;
}

export async function prepare(options: BenchOptions, server: BenchServer): Promise<Scene> {
  const { template, rowBytes } = templates(server.superuserUrl);
  const shape = monthly(options.rows);
  const started = new Date().toISOString();
  const file = options.out ?? join(RESULTS, `${options.server}-${started.slice(0, 10)}.json`);
  console.log(`PostgreSQL ${options.server}, ${options.rows} rows, result in ${file}`);
  await template(shape);
  const recorder = new Recorder(file, {
    ...{ server: options.server, started, finished: null, rows: options.rows },
    command: ["npm run bench --", ...process.argv.slice(2)].join(" "),
    rowBytes: rowBytes(shape),
    partway: version(),
    machine: describeMachine(),
    settings: await settingsOf(server.superuserUrl),
    ...{ measurements: [], skipped: [], profiles: [] },
  });
  return {
    ...{ options, server, recorder, shape, template },
    on: async (of, work) => withCopy(server.superuserUrl, await template(of), work),
  };
}

/** Tables that are made once on a server. */
export function templates(superuserUrl: string) {
  const made = new Map<string, { name: string; rowBytes: number }>();
  return {
    template: async (shape: Shape): Promise<string> => {
      const known = made.get(JSON.stringify(shape));
      if (known !== undefined) return known.name;
      const name = `template_${made.size}`;
      made.set(JSON.stringify(shape), { name, rowBytes: await makeTemplate(superuserUrl, name, shape) });
      return name;
    },
    rowBytes: (shape: Shape): number => made.get(JSON.stringify(shape))?.rowBytes ?? 0,
  };
}

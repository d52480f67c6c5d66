/** Two published ways, where Debian's packages are installed, on Debian's own server with a floor of its own. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { messageOf } from "../../src/errors.js";
import { type Debian, missingFor, startDebian } from "../support/debian.js";
import { connected, walPosition, withCopy } from "./database.js";
import { floor } from "./floor.js";
import type { Scene } from "./scene.js";
import { templates } from "./scene.js";
import { SETTINGS } from "./server.js";
import type { Shape } from "./table.js";

const run = promisify(execFile);

const WAYS = [
  { part: "partman", extension: "pg_partman", measure: partman },
  { part: "repack", extension: "pg_repack", measure: repack },
] as const;

export async function debianWays({ options, recorder, shape }: Scene): Promise<void> {
  const wanted = WAYS.filter(({ part, extension }) => {
    if (!options.parts.has(part)) return false;
    const missing = missingFor(extension);
    if (missing.length > 0) recorder.skip(part, `Debian's ${missing.join(" and ")} not installed`);
    return missing.length === 0;
  });
  if (wanted.length === 0) return;
  let debian: Debian;
  try {
    debian = await startDebian("fsync=on", ...SETTINGS.filter((setting) => !setting.startsWith("log_line")));
  } catch (error) {
    recorder.skip(wanted.map(({ part }) => part).join(", "), messageOf(error));
    return;
  }
  const { superuserUrl } = debian;
  try {
    const template = await templates(superuserUrl).template(shape);
    const on = <T>(work: (url: string) => Promise<T>) => withCopy(superuserUrl, template, work);
    for (let repeat = 1; repeat <= options.slowRepeats; repeat++) {
      const round = `debian ${repeat}`;
      await recorder.measure("floor-debian", round, () => on((url) => floor(url, shape)));
      for (const { part, measure } of wanted)
        await recorder.measure(part, round, () => on((url) => measure(url, shape)));
    }
  } finally {
    debian.stop();
  }
}

/** Batches of one partition each (its default), from the table into partitions that pg_partman makes with their indexes. */
async function partman(url: string, shape: Shape): Promise<Record<string, number>> {
  return connected(url, async (client) => {
    const begun = performance.now();
    const wal = await walPosition(client);
    await client.query("CREATE SCHEMA partman");
    await client.query("CREATE EXTENSION pg_partman SCHEMA partman");
    await client.query(
      "CREATE TABLE public.parted (LIKE public.orders INCLUDING DEFAULTS, PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at)",
    );
    await client.query("CREATE INDEX ON public.parted (customer_id, created_at)");
    await client.query("CREATE INDEX ON public.parted (created_at)");
    await client.query(
      `SELECT partman.create_parent('public.parted', 'created_at', 'native', 'monthly', p_premake := $1,
              p_start_partition := (SELECT min(created_at)::text FROM public.orders))`,
      [shape.ahead],
    );
    // It rests a second after each batch unless told not to.
    await client.query(
      "CALL partman.partition_data_proc('public.parted', p_wait := 0, p_source_table := 'public.orders')",
    );
    const seconds = (performance.now() - begun) / 1000;
    return { seconds, walPerRow: ((await walPosition(client)) - wal) / shape.rows };
  });
}

/** A whole rebuild of the table as it is: pg_repack makes no partitions, and is here as a known online copy. */
async function repack(url: string, shape: Shape): Promise<Record<string, number>> {
  return connected(url, async (client) => {
    await client.query("CREATE EXTENSION pg_repack");
    const begun = performance.now();
    const wal = await walPosition(client);
    const { hostname, port, username, pathname } = new URL(url);
    const where = ["-h", hostname, "-p", port, "-U", username, "-d", pathname.slice(1)];
    await run("pg_repack", [...where, "-t", "public.orders", "-j", "2", "--no-order"]);
    const seconds = (performance.now() - begun) / 1000;
    return { seconds, walPerRow: ((await walPosition(client)) - wal) / shape.rows };
  });
}

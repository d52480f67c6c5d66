/** Two short measurements of the command line: how fast it applies, and how soon a killed run works again. */
import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import type { Started } from "../cli/support.js";
import { connected, numberOf } from "./database.js";
import { at, ofKind } from "./events.js";
import { inFolder, runArgs, typed } from "./partway.js";
import type { Shape } from "./table.js";

/** Keys a second that a drain applies: random keys of the whole table, all changed while no process ran. */
export async function applySpeed(url: string, shape: Shape, wanted: number): Promise<Record<string, number>> {
  return inFolder(url, async (folder) => {
    await typed(folder, runArgs(shape, "--until", "validate"));
    const keys = await connected(url, async (client) => {
      const { rowCount } = await client.query(
        `UPDATE public.orders SET status = 'changed' WHERE id IN
           (SELECT 1 + floor(random() * $1::bigint)::bigint FROM generate_series(1, $2::int))`,
        [shape.rows, Math.min(wanted, Math.floor(shape.rows / 2))],
      );
      await client.query("CHECKPOINT");
      return rowCount ?? 0;
    });
    const events = await typed(folder, ["cutover", "--json", "--no-hold"]);
    const begun = ofKind(events, "check").findLast(
      ({ name, ok }) => name === "new table untouched" && ok === true,
    );
    const short = ofKind(events, "check").find(({ name, ok }) => name === "change log short" && ok === true);
    if (begun === undefined || short === undefined) throw new Error("the cutover told nothing of its drain");
    const drainSeconds = (at(short) - at(begun)) / 1000;
    return { keys, drainSeconds, applyPerSecond: keys / drainSeconds };
  });
}

/**
 * Seconds from `partway resume` being typed to its first batch being in: more blocks in the ledger than before. It is typed
 * as soon as kill -9 has ended the first run in the middle of its copy, so what it has to wait for that the dead process
 * left on the server is in it. Asked of the ledger, because progress is told twice a second at most.
 */
export async function resumeSpeed(url: string, shape: Shape): Promise<Record<string, number>> {
  return inFolder(url, async (folder) =>
    connected(url, async (client) => {
      const args = runArgs(shape, "--until", "copy", "--workers", "1", "--batch-blocks", "256");
      const first = folder.start(args);
      await moreBlocks(client, first, 0);
      first.child.kill("SIGKILL");
      await first.ended;
      const before = await blocksDone(client);
      const from = performance.now();
      const again = folder.start(["resume", "--json", "--no-hold", "--until", "copy"]);
      await moreBlocks(client, again, before);
      const resumeSeconds = (performance.now() - from) / 1000;
      const { code, stderr } = await again.ended;
      if (code !== 0) throw new Error(`the resume ended with ${code}: ${stderr.slice(-500)}`);
      return { resumeSeconds };
    }),
  );
}

const LOOK_MS = 5;

/** Resolves when more than `before` blocks are copied. Errors: the process ended before. */
async function moreBlocks(client: pg.Client, { child, ended }: Started, before: number): Promise<void> {
  while ((await blocksDone(client)) <= before) {
    if (child.exitCode !== null || child.signalCode !== null) {
      const { code, stdout, stderr } = await ended;
      if ((await blocksDone(client)) > before) return;
      throw new Error(
        `ended with ${code} before a batch was in: ${stdout.slice(-500)} ${stderr.slice(-500)}`,
      );
    }
    await sleep(LOOK_MS);
  }
}

/** Of batches that are committed. */
async function blocksDone(client: pg.Client): Promise<number> {
  const isThere = await numberOf(client, "SELECT count(to_regclass('partway.ledger'))");
  return isThere === 0
    ? 0
    : numberOf(client, "SELECT coalesce(sum(to_block - from_block), 0) FROM partway.ledger");
}

/** Two short measurements of the command line: how fast it applies, and how soon a killed run works again. */
import { setTimeout as sleep } from "node:timers/promises";
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

/** Seconds from `partway resume` to the copy being at work, after kill -9 in the middle of the copy. */
export async function resumeSpeed(url: string, shape: Shape): Promise<Record<string, number>> {
  return inFolder(url, async (folder) => {
    const first = folder.start(runArgs(shape, "--until", "copy", "--workers", "1", "--batch-blocks", "256"));
    await first.event((line) => line.event === "phase" && line["phase"] === "copy");
    await sleep(200);
    first.child.kill("SIGKILL");
    await first.ended;
    await connected(url, async (client) => {
      const left =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'partway%' AND application_name <> 'partway-bench'";
      while ((await numberOf(client, left)) > 0) await sleep(20);
    });
    const from = Date.now();
    const again = folder.start(["resume", "--json", "--no-hold", "--until", "copy"]);
    const working = await again.event((line) => line.event === "phase" && line["phase"] === "copy");
    const resumeSeconds = (Date.parse(String(working["at"])) - from) / 1000;
    const { code, stderr } = await again.ended;
    if (code !== 0) throw new Error(`the resume ended with ${code}: ${stderr.slice(-500)}`);
    return { resumeSeconds };
  });
}

/** What capture leaves of the throughput when writers ask for all the server can do. */
import { withCopy } from "./database.js";
import { rateOf } from "./keyset.js";
import { inFolder, runArgs, typed } from "./partway.js";
import { median, ratio } from "./stats.js";
import type { Shape } from "./table.js";

const CLIENTS = 4;

/**
 * Three databases alike: no migration, one ready for cutover, one in the window; no process at work, so what is
 * measured is the capture alone (and in the window the partitions). Written to in turn, `pairs` times.
 */
export async function saturate(
  superuserUrl: string,
  template: string,
  shape: Shape,
  pairs: number,
  seconds: number,
): Promise<Record<string, number>> {
  return withCopy(superuserUrl, template, (none) =>
    withCopy(superuserUrl, template, (ready) =>
      withCopy(superuserUrl, template, async (window) => {
        await inFolder(ready, (folder) => typed(folder, runArgs(shape, "--until", "validate")));
        await inFolder(window, (folder) => typed(folder, runArgs(shape)));
        const rates: { none: number; capture: number; window: number }[] = [];
        const rate = (url: string) =>
          rateOf({ url, perSecond: null, clients: CLIENTS, rows: shape.rows }, seconds);
        for (let pair = 0; pair < pairs; pair++)
          rates.push({ none: await rate(none), capture: await rate(ready), window: await rate(window) });
        const middle = (of: (one: (typeof rates)[number]) => number | null): number =>
          median(rates.map(of).filter((value) => value !== null)) ?? 0;
        return {
          ...{
            none: middle((r) => r.none),
            capture: middle((r) => r.capture),
            window: middle((r) => r.window),
          },
          captureKept: middle((r) => ratio(r.capture, r.none)),
          windowKept: middle((r) => ratio(r.window, r.none)),
        };
      }),
    ),
  );
}

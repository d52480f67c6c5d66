/** How the numbers grow: rows, leaves, workers, and the writers' rate. One run of each. */
import { migrate } from "./partway.js";
import type { Scene } from "./scene.js";
import { daily, monthly } from "./table.js";
import { migrateUnderWriters } from "./under-writers.js";

const LEAVES = [200, 1_000];
const WORKERS = [1, 2, 3, 4];
const RATES = [1_000, 2_000, 5_000];

/** Of `--rows`: a fifth, the whole, four times. */
export async function growth({ recorder, options, shape, on }: Scene): Promise<void> {
  for (const rows of [options.rows / 5, options.rows, options.rows * 4].map(Math.round)) {
    const of = monthly(rows);
    await recorder.measure(`rows ${rows}`, "growth", () =>
      on(of, async (url) => (await migrate(url, of)).values),
    );
  }
  for (const leaves of LEAVES) {
    const of = daily(options.rows, leaves);
    await recorder.measure(`leaves ${leaves}`, "growth", () =>
      on(of, async (url) => (await migrate(url, of)).values),
    );
  }
  for (const workers of WORKERS)
    await recorder.measure(`workers ${workers}`, "growth", () =>
      on(shape, async (url) => (await migrate(url, shape, "--workers", String(workers))).values),
    );
  for (const perSecond of RATES)
    await recorder.measureOverTime(`writes ${perSecond}`, "growth", () =>
      on(shape, (url) =>
        migrateUnderWriters(url, shape, { perSecond, clients: 16, spanSeconds: options.spanSeconds }),
      ),
    );
}

/** The order of the measurements: what is wanted most first, what is compared in turn. */
import { profileSwap, swapUnderWriters } from "./cutover.js";
import { debianWays } from "./debian.js";
import { floor } from "./floor.js";
import { growth } from "./growth.js";
import { keyset, mirror } from "./keyset.js";
import { applySpeed, resumeSpeed } from "./moments.js";
import type { BenchOptions } from "./options.js";
import { assertBuilt, migrate } from "./partway.js";
import { medianOf } from "./result.js";
import { saturate } from "./saturation.js";
import { prepare, type Scene } from "./scene.js";
import { startServer } from "./server.js";
import { daily, monthly, type Shape } from "./table.js";
import { terminalTable } from "./tables.js";
import { migrateUnderWriters } from "./under-writers.js";
import { saturateFollowed } from "./wal.js";

/** Swaps need no large table: what happens inside the lock does not look at the rows. */
const SWAP_ROWS = 200_000;
const MANY_LEAVES = 1_000;
/** Statements a second. */
export const OFFERED = 500;
const CLIENTS = 8;
const APPLY_KEYS = 200_000;

/** Measures what was asked for. Ctrl-C ends it with a table of what there is; the file has it too. */
export async function run(options: BenchOptions): Promise<void> {
  assertBuilt();
  const server = await startServer(options.server, options.parts.has("wal") ? ["wal_level=logical"] : []);
  try {
    const scene = await prepare(options, server);
    const cutOff = () => {
      scene.recorder.close();
      console.log(`\ncut off; measured so far:\n${terminalTable(scene.recorder.result)}`);
      void server.stop().finally(() => process.exit(130));
    };
    process.once("SIGINT", cutOff);
    process.once("SIGTERM", cutOff);
    await fastRounds(scene);
    if (options.parts.has("cutover")) await swaps(scene, "cutover", monthly(SWAP_ROWS), options.swaps);
    await saturation(scene);
    await slowRounds(scene);
    await moments(scene);
    if (options.parts.has("cutover-1000"))
      await swaps(scene, "cutover-1000", daily(SWAP_ROWS, MANY_LEAVES), options.swapsOfMany);
    await halfLoad(scene);
    await throughWal(scene);
    await debianWays(scene);
    if (options.parts.has("growth")) await growth(scene);
    scene.recorder.finish();
    console.log(`\n${terminalTable(scene.recorder.result)}`);
  } finally {
    await server.stop();
  }
}

const loadOf = ({ options }: Scene, perSecond: number) => ({
  ...{ perSecond, clients: CLIENTS, spanSeconds: options.spanSeconds },
});

async function fastRounds(scene: Scene): Promise<void> {
  const { options, recorder, shape, on } = scene;
  const { parts, repeats } = options;
  for (let repeat = 1; repeat <= repeats; repeat++) {
    const round = `fast ${repeat}`;
    if (parts.has("floor"))
      await recorder.measure("floor", round, () => on(shape, (url) => floor(url, shape)));
    if (parts.has("partway"))
      await recorder.measure("partway", round, () =>
        on(shape, async (url) => (await migrate(url, shape)).values),
      );
    if (parts.has("writers"))
      await recorder.measureOverTime(`partway-${OFFERED}`, round, () =>
        on(shape, (url) => migrateUnderWriters(url, shape, loadOf(scene, OFFERED))),
      );
  }
}

async function swaps(scene: Scene, part: string, shape: Shape, count: number): Promise<void> {
  const { recorder, on, server } = scene;
  for (let swap = 1; swap <= count; swap++)
    await recorder.measure(part, `swap ${swap}`, () => on(shape, (url) => swapUnderWriters(url, shape)));
  const { logFile } = server;
  try {
    recorder.profile(part, await on(shape, (url) => profileSwap(url, shape, logFile)));
  } catch (error) {
    recorder.skip(`profile of ${part}`, error instanceof Error ? error.message : String(error));
  }
}

async function saturation(scene: Scene): Promise<void> {
  const { options, recorder, shape, template, server } = scene;
  if (!options.parts.has("saturation")) return;
  const source = await template(shape);
  await recorder.measure("saturation", "saturation", () =>
    saturate(
      server.superuserUrl,
      source,
      shape,
      Math.max(2, options.repeats),
      Math.ceil(options.spanSeconds / 2),
    ),
  );
}

/** Throughput kept at saturation, and a whole migration under writers, with capture through the write-ahead log. */
async function throughWal(scene: Scene): Promise<void> {
  const { options, recorder, shape, template, server, on } = scene;
  if (!options.parts.has("wal")) return;
  const source = await template(shape);
  await recorder.measure("wal", "saturation", () =>
    saturateFollowed(
      server.superuserUrl,
      source,
      shape,
      Math.max(2, options.repeats),
      Math.ceil(options.spanSeconds / 2),
    ),
  );
  await recorder.measureOverTime("partway-wal", "wal", () =>
    on(shape, (url) => migrateUnderWriters(url, shape, loadOf(scene, OFFERED), "--capture", "wal")),
  );
}

/** The slow ways have a floor and a Partway of their own rounds to be divided by. */
async function slowRounds(scene: Scene): Promise<void> {
  const { options, recorder, shape, on } = scene;
  const { parts, slowRepeats } = options;
  if (!parts.has("keyset") && !parts.has("mirror")) return;
  for (let repeat = 1; repeat <= slowRepeats; repeat++) {
    const round = `slow ${repeat}`;
    await recorder.measure("floor", round, () => on(shape, (url) => floor(url, shape)));
    await recorder.measure("partway", round, () =>
      on(shape, async (url) => (await migrate(url, shape)).values),
    );
    if (parts.has("keyset"))
      await recorder.measure("keyset", round, () => on(shape, (url) => keyset(url, shape)));
    if (parts.has("mirror"))
      await recorder.measure("mirror", round, () =>
        on(shape, (url) => mirror(url, shape, loadOf(scene, OFFERED))),
      );
  }
}

async function moments(scene: Scene): Promise<void> {
  const { options, recorder, shape, on } = scene;
  for (let repeat = 1; repeat <= options.slowRepeats; repeat++) {
    const round = `moment ${repeat}`;
    if (options.parts.has("apply"))
      await recorder.measure("apply", round, () => on(shape, (url) => applySpeed(url, shape, APPLY_KEYS)));
    if (options.parts.has("resume"))
      await recorder.measure("resume", round, () => on(shape, (url) => resumeSpeed(url, shape)));
  }
}

/** Half of what the server can do, by the saturated rate without a migration. */
async function halfLoad(scene: Scene): Promise<void> {
  const { options, recorder, shape, on } = scene;
  if (!options.parts.has("half-load")) return;
  const most = medianOf(recorder.result, "saturation", "none");
  if (most === null)
    return recorder.skip("half-load", "needs --only saturation,half-load: the rate is half of that");
  const perSecond = Math.round(most / 2);
  await recorder.measureOverTime("partway-half", "half", async () => {
    const { values, timeline } = await on(shape, (url) =>
      migrateUnderWriters(url, shape, loadOf(scene, perSecond)),
    );
    return { values: { ...values, offered: perSecond }, timeline };
  });
}

/** What a dashboard shows at night, and that nobody who asks for it can hold up a run. */
import { expect, test } from "vitest";
import { Exposition } from "../../src/metrics/exposition.js";
import { phaseOf } from "../../src/metrics/samples.js";
import { parseAddress, serveMetrics } from "../../src/metrics/server.js";
import type { RunEventBody } from "../../state/events.js";
import { createViewStore } from "../../state/fold.js";
import { emptyView } from "../../state/view.js";

const at = "2026-01-01T00:00:00.000Z";

function runOf(...events: RunEventBody[]) {
  const store = createViewStore(
    emptyView({
      migration: "orders_3f9a1c",
      table: "public.orders",
      server: "me@db:5432/shop",
      startedAt: at,
    }),
  );
  const tell = (event: RunEventBody) => store.push({ at, migration: "orders_3f9a1c", ...event });
  for (const event of events) tell(event);
  return { store, tell };
}

const phase = (name: "copy" | "cutover" | "rollback", status: "started" | "done"): RunEventBody => ({
  ...{ event: "phase", phase: name, status, ms: status === "done" ? 1500 : null },
});
const COPY: RunEventBody = {
  ...{ event: "copy", rowsDone: 70, rowsEstimated: 100, batchesDone: 7, batchesTotal: 10 },
  ...{ rowsPerSecond: 35, secondsLeft: 1, workers: 2 },
};
const TRY: RunEventBody = {
  ...{ event: "lock-try", purpose: "cutover", attempt: 1, outcome: "timeout", timeoutMs: 100 },
  ...{ waitedMs: 100, blockers: [] },
};
const SWAPPED: RunEventBody = {
  ...{ event: "cutover", direction: "forward", tries: 3, waitedMs: 200, heldMs: 53 },
  ...{ longestStallMs: 93, drainedKeys: 4 },
};
const WINDOW: RunEventBody = {
  ...{ event: "window", deadline: at, secondsLeft: 3600, safe: false },
  ...{ verdict: "rollback is not safe", keysBehind: 2 },
};

/** The lines of a scrape that are Partway's, without the labels that all have. */
async function scrape(exposition: Exposition): Promise<string[]> {
  const mine = (await exposition.text()).split("\n").filter((line) => line.startsWith("partway_"));
  return mine.map((line) =>
    line.replace('migration="orders_3f9a1c",table="public.orders"', "").replace("{,", "{"),
  );
}

test("a copy that stands still would look as if it ran", async () => {
  const { store, tell } = runOf(phase("copy", "started"), COPY);
  const during = new Exposition();
  during.watch(store);
  expect(await scrape(during)).toEqual(
    expect.arrayContaining([
      ...['partway_phase{phase="copy"} 1', 'partway_phase{phase="cutover"} 0', "partway_copy_rows{} 70"],
      ...[
        "partway_copy_rows_estimated{} 100",
        "partway_copy_batches{} 7",
        "partway_copy_rows_per_second{} 35",
      ],
    ]),
  );
  tell(phase("copy", "done"));
  const after = new Exposition();
  after.watch(store);
  const lines = await scrape(after);
  expect(lines).toContain("partway_copy_rows_per_second{} 0");
  expect(lines).toContain('partway_phase_seconds{phase="copy"} 1.5');
});

test("tries, held time and the verdict would not reach who is on call", async () => {
  const { store, tell } = runOf();
  const exposition = new Exposition();
  exposition.watch(store);
  for (const event of [phase("cutover", "started"), TRY, TRY, SWAPPED, WINDOW]) tell(event);
  const lines = await scrape(exposition);
  expect(lines).toEqual(
    expect.arrayContaining([
      ...["partway_lock_tries_total{} 2", 'partway_cutover_held_seconds{direction="forward"} 0.053'],
      ...['partway_cutover_tries{direction="forward"} 3', "partway_window_seconds_left{} 3600"],
      ...["partway_rollback_safe{} 0", "partway_rollback_keys_behind{} 2"],
    ]),
  );
  expect(lines.some((line) => /^partway_last_event_timestamp_seconds\{\} \d{10}/.test(line))).toBe(true);
});

test("what is not known yet would be shown as zero", async () => {
  const exposition = new Exposition();
  exposition.watch(runOf().store);
  const text = (await scrape(exposition)).join("\n");
  expect(text).not.toMatch(/copy_rows|rollback_safe|window_seconds/);
  expect(await exposition.text()).toMatch(/^process_cpu_seconds_total /m);
});

test("a rollback or an end would be shown as the phase before it", () => {
  const { store, tell } = runOf(phase("cutover", "done"), phase("rollback", "started"));
  expect(phaseOf(store.current())).toBe("rollback");
  tell({ event: "finished", outcome: "rolled-back", message: "" });
  expect(phaseOf(store.current())).toBe("ended");
});

test("metrics would be open to the network without anybody having said so", () => {
  expect(parseAddress(":9187")).toEqual({ host: "127.0.0.1", port: 9187 });
  expect(parseAddress("9187")).toEqual({ host: "127.0.0.1", port: 9187 });
  expect(parseAddress("0.0.0.0:9187")).toEqual({ host: "0.0.0.0", port: 9187 });
  expect(parseAddress("[::1]:0")).toEqual({ host: "::1", port: 0 });
});

test.each(["", ":", ":70000", "db:5432/shop", "::1", "[x]:1", "http://a:1", "a b:1"])(
  "--metrics %j would be taken for an address",
  (text) => {
    expect(() => parseAddress(text)).toThrow(/is not \[host\]:port/);
  },
);

test("who scrapes would get something else than a page of metrics, or a second run its port", async () => {
  const exposition = new Exposition();
  exposition.watch(runOf(COPY).store);
  const server = await serveMetrics(exposition, parseAddress(":0"));
  try {
    const page = await fetch(server.url);
    expect([page.status, page.headers.get("content-type")]).toEqual([200, exposition.contentType]);
    expect(await page.text()).toContain(
      'partway_copy_rows{migration="orders_3f9a1c",table="public.orders"} 70',
    );
    expect((await fetch(server.url.replace("metrics", "secrets"))).status).toBe(404);
    expect((await fetch(server.url, { method: "POST" })).status).toBe(405);
    const { port } = new URL(server.url);
    await expect(serveMetrics(exposition, parseAddress(`:${port}`))).rejects.toMatchObject({
      kind: "bad-input",
      message: expect.stringContaining("EADDRINUSE"),
      state: "Nothing was touched.",
    });
  } finally {
    server.close();
  }
});

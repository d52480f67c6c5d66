import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { z } from "zod";
import { Sampler } from "../../src/engine/sampler.js";
import type { SlotStatus } from "../../src/wal/slot.js";
import type { RunEventBody } from "../../state/events.js";

beforeEach(() => vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] }));
afterEach(() => vi.useRealTimers());

const map = (cells: string): RunEventBody => ({
  event: "map",
  phase: "copy",
  of: "blocks",
  cells,
  workers: [],
});

/** A server that answers as `answers` says: WAL position, rows in the log; an Error is thrown. */
function sampler(answers: {
  wal: (number | Error)[];
  log?: string | null;
  slot?: (SlotStatus | null | Error)[];
}) {
  const told: RunEventBody[] = [];
  const asked: string[] = [];
  let at = 0;
  const session = {
    lost: false,
    one: async <T>(row: z.ZodType<T>, sql: string): Promise<T> => {
      asked.push(sql);
      if (!sql.includes("wal")) return row.parse({ logged: "5" });
      const answer = answers.wal[at++] ?? 0;
      if (answer instanceof Error) throw answer;
      return row.parse({ wal: String(answer) });
    },
  };
  const made = new Sampler({
    session: () => session,
    log: () => (answers.log === undefined ? "partway.log" : answers.log),
    emit: (body) => told.push(body),
    ...(answers.slot === undefined
      ? {}
      : {
          slot: async () => {
            const slot = answers.slot?.shift() ?? null;
            if (slot instanceof Error) throw slot;
            return slot;
          },
        }),
  });
  made.start();
  const second = () => vi.advanceTimersByTimeAsync(1000);
  return { made, told, asked, second };
}

test("the rate is over the last seconds, and unknown after the first answer", async () => {
  const { made, told, second } = sampler({ wal: [1000, 3000, 9000] });
  for (let n = 0; n < 3; n += 1) await second();
  made.stop();
  expect(told).toEqual([
    { event: "sample", walBytesPerSecond: null, walBytes: 0, logged: 5 },
    { event: "sample", walBytesPerSecond: 2000, walBytes: 2000, logged: 5 },
    { event: "sample", walBytesPerSecond: 4000, walBytes: 8000, logged: 5 },
  ]);
});

test("what the slot keeps is told while there is one; that it cannot be asked for ends nothing", async () => {
  const slot = { name: "partway_wal_x", status: "reserved", retainedBytes: 7, keptBytes: null };
  const { made, told, second } = sampler({ wal: [1, 2, 3], slot: [slot, new Error("no"), null] });
  for (let n = 0; n < 3; n += 1) await second();
  made.stop();
  expect(told.map((body) => ("slot" in body ? body.slot : null))).toEqual([
    { status: "reserved", retainedBytes: 7, keptBytes: null },
    null,
    null,
  ]);
});

test("a server that does not tell its WAL is asked once, and the log is still told", async () => {
  const { made, told, asked, second } = sampler({ wal: [new Error("not allowed")] });
  await second();
  await second();
  made.stop();
  expect(told.at(-1)).toEqual({ event: "sample", walBytesPerSecond: null, walBytes: null, logged: 5 });
  expect(asked.filter((sql) => sql.includes("wal"))).toHaveLength(1);
});

test("after a failover to a server whose WAL is behind nothing negative is told", async () => {
  const { made, told, second } = sampler({ wal: [9000, 100, 300] });
  for (let n = 0; n < 3; n += 1) await second();
  made.stop();
  expect(told.map((body) => (body.event === "sample" ? body.walBytesPerSecond : "?"))).toEqual([
    null,
    null,
    200,
  ]);
});

test("while locks are sought or held nothing is asked", async () => {
  const { made, told, asked, second } = sampler({ wal: [1], log: null });
  await second();
  made.stop();
  expect([told, asked]).toEqual([[], []]);
});

test("the journal would be written at every batch: of a second's maps only the newest is let through", async () => {
  const { made, told, second } = sampler({ wal: [1], log: null });
  for (const cells of ["x..", "xx.", "xxx"]) made.calm(map(cells));
  expect(told).toEqual([]);
  await second();
  expect(told).toEqual([map("xxx")]);
  made.calm(map("!xx"));
  made.flush();
  made.flush();
  expect(told).toEqual([map("xxx"), map("!xx")]);
  made.stop();
});

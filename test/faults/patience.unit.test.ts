import { expect, test } from "vitest";
import { Patience } from "../../src/engine/patience.js";

const waits = (patience: Patience, from: number, many: number) =>
  Array.from({ length: many }, (_, i) => patience.failed(from + i));

test("a run would hammer a server that is away, or hardly ever try", () => {
  const patience = new Patience(10_000);
  expect(patience.lost(0)).toEqual({ waitMs: 500 });
  expect(waits(patience, 1, 8).map((next) => ("waitMs" in next ? next.waitMs : null))).toEqual([
    ...[1000, 2000, 4000, 8000, 15_000, 30_000, 30_000, 30_000],
  ]);
});

test("a run would try for ever to reach a server that never comes back, or give up on a slow restart", () => {
  const patience = new Patience(10_000);
  patience.lost(0);
  expect(patience.failed(599_999)).toHaveProperty("waitMs");
  expect(patience.failed(600_000)).toEqual({ enough: "the server has not let us work for 600 s" });
});

test("a run whose phase kills its connection each time would do it for ever", () => {
  const patience = new Patience(10_000);
  for (let n = 0; n < 12; n++) {
    expect(patience.lost(n * 100)).toHaveProperty("waitMs");
    patience.back(n * 100 + 50);
  }
  expect(patience.lost(1300)).toEqual({ enough: "13 connections were lost one after the other" });
});

test("a window held for a day would end at its thirteenth lost connection", () => {
  const patience = new Patience(10_000);
  for (let hour = 0; hour < 24; hour++) {
    expect(patience.lost(hour * 3_600_000)).toEqual({ waitMs: 500 });
    patience.back(hour * 3_600_000 + 1000);
  }
});

test("PGCONNECT_TIMEOUT=0, wait for ever, would not", () => {
  const patience = new Patience(0);
  expect(patience.silence).toBeNull();
  patience.lost(0);
  expect(patience.failed(86_400_000)).toHaveProperty("waitMs");
});

test("who waits less for a connection would not be told sooner that the server is silent", () => {
  expect(new Patience(10_000).silence).toEqual({ tellMs: 20_000, breakMs: 120_000 });
  expect(new Patience(1_000).silence).toEqual({ tellMs: 2_000, breakMs: 12_000 });
});

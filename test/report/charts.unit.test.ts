import { expect, test } from "vitest";
import { niceTicks, timeAxis } from "../../src/report/axis.js";
import { levels, rowRate } from "../../src/report/series.js";
import { at } from "./fixture.js";

const batch = (seconds: number, rows: number, ms = 1000) => ({
  generation: 1,
  batch: seconds,
  rows,
  ms,
  at: at(seconds),
});
const span = (from: number, to: number) => ({ from: from * 1000, to: to * 1000 });

test("rows would be lost or invented between the batches and the curve", () => {
  const [line = [], ...others] = rowRate([batch(1, 500), batch(2, 1500), batch(3, 1000)]);
  expect(others).toEqual([]);
  const step = ((line[1]?.t ?? 0) - (line[0]?.t ?? 0)) / 1000;
  expect(line.reduce((sum, { v }) => sum + v * step, 0)).toBeCloseTo(3000, 0);
  expect(Math.max(...line.map(({ v }) => v))).toBeCloseTo(1500, 0);
});

test("an hour without a process would be drawn as an hour of slow copying", () => {
  expect(rowRate([batch(1, 500), batch(2, 500), batch(3602, 500), batch(3603, 500)])).toHaveLength(2);
});

test("the highest backlog would be thinned away", () => {
  const rows = Array.from({ length: 5000 }, (_, i) => ({
    name: "b",
    value: i === 3333 ? 900 : 1,
    at: at(i),
  }));
  const [line = []] = levels(rows, "b");
  expect(line.length).toBeLessThan(200);
  expect(Math.max(...line.map(({ v }) => v))).toBe(900);
  expect(levels(rows, "other")).toEqual([]);
});

test("a day of waiting would leave no room for the minute of work", () => {
  const axis = timeAxis([span(0, 30), span(86_430, 86_460)], 0, 1000);
  expect(axis.breaks.map(({ ms }) => ms)).toEqual([86_400_000]);
  expect(axis.x(30_000)).toBeGreaterThan(400);
  expect(axis.x(86_460_000)).toBeCloseTo(1000);
  expect(axis.x(0)).toBe(0);
});

test("a short rest would be drawn as none", () => {
  const axis = timeAxis([span(0, 30), span(31, 60)], 0, 600);
  expect(axis.breaks).toEqual([]);
  expect(axis.x(31_000) - axis.x(30_000)).toBeCloseTo(10);
});

test.each([
  [0, [0, 1]],
  [3, [0, 1, 2, 3]],
  [95, [0, 50, 100]],
  [159_816, [0, 50_000, 100_000, 150_000, 200_000]],
])("the highest point %d would stand above the last line of the grid", (top, ticks) => {
  expect(niceTicks(top)).toEqual(ticks);
});

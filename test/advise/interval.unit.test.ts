/** How finely a table is cut: too fine is planning for every query, too coarse is leaves nobody can vacuum or drop in time. */
import { expect, test } from "vitest";
import { chooseInterval, chooseModulus, chooseStep, type Flow } from "../../src/advise/interval.js";

const MONTH = 30.44;
const flow = (over: Partial<Flow>): Flow => ({
  ...{ rowsPerMonth: 1e6, bytesPerMonth: 4e8, spanDays: 730, keptDays: null, date: false },
  ...over,
});

test.each<[string, Partial<Flow>, string, number]>([
  ["a month of 400 MB", {}, "month", 31],
  ["a month of 2.1 GB, two years of it", { bytesPerMonth: 2.1e9 }, "week", 118],
  [
    "a month of 2.1 GB, ten years of it: 500 weeks are too many for that",
    { bytesPerMonth: 2.1e9, spanDays: 3_650 },
    "month",
    127,
  ],
  ["a month of 11 GB, ten years of it", { bytesPerMonth: 11e9, spanDays: 3_650 }, "week", 535],
  ["a day of 20 GB, a week of it", { rowsPerMonth: 1e9, bytesPerMonth: 600e9, spanDays: 7 }, "hour", 241],
  ["the same by a date", { rowsPerMonth: 1e9, bytesPerMonth: 600e9, spanDays: 7, date: true }, "day", 38],
  [
    "a day of 20 GB, ten years of it: nothing below 1,000 leaves helps",
    { bytesPerMonth: 600e9, spanDays: 3_650 },
    "week",
    535,
  ],
  ["kept for 90 days", { keptDays: 90, spanDays: 90 }, "week", 26],
  ["kept for 20 days", { keptDays: 20, spanDays: 20 }, "day", 51],
  ["kept for 20 days, a few rows a day", { keptDays: 20, spanDays: 20, rowsPerMonth: 300_000 }, "week", 16],
  ["20,000 rows a month", { rowsPerMonth: 20_000, bytesPerMonth: 8e6 }, "quarter", 13],
  ["5,000 rows a month", { rowsPerMonth: 5_000, bytesPerMonth: 2e6 }, "year", 5],
  ["a century of months", { spanDays: 36_525 }, "quarter", 405],
])("%s", (_, over, every, leaves) => {
  const choice = chooseInterval(flow(over));
  expect([choice.every, choice.leaves]).toEqual([every, leaves]);
  expect(choice.because).toMatch(/\w{3}/);
  expect(choice.leafBytes).toBeGreaterThan(0);
});

test("the reason would not be the one that decided", () => {
  expect(chooseInterval(flow({ bytesPerMonth: 2.5e9 })).because).toBe("a leaf of a month would be 2.5 GB");
  expect(chooseInterval(flow({ keptDays: 3 * MONTH, spanDays: 91 })).because).toBe(
    "rows are kept for about 91 days, and dropped a leaf at a time",
  );
});

test("hash leaves would not be a power of two within reason", () => {
  expect([1e6, 8e9, 9e9, 60e9, 1e13].map(chooseModulus)).toEqual([8, 8, 16, 64, 64]);
});

test("steps would not be numbers that a person can read, or more than a thousand", () => {
  expect(chooseStep(400, 100_000_000n)).toBe(5_000_000n);
  expect(chooseStep(100_000, 10n)).toBe(100_000n);
  expect(chooseStep(400, 9_000_000_000_000n)).toBe(10_000_000_000n);
});

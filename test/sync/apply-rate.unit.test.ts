/** The rate a person reads while the change log is applied: too high a one promises too early an end. */
import { expect, test } from "vitest";
import { ApplyRate } from "../../src/sync/apply-rate.js";

test("a batch's keys are divided by the time the batch took, the first one's too", () => {
  const rate = new ApplyRate();
  expect(rate.perSecond()).toBeNull();
  rate.add(0, 500, 5_000);
  expect(rate.perSecond()).toBe(10_000);
  rate.add(500, 1_000, 5_000);
  expect(rate.perSecond()).toBe(10_000);
});

test("nothing is said of a moment too short to say", () => {
  const rate = new ApplyRate();
  rate.add(0, 5, 40);
  expect(rate.perSecond()).toBeNull();
});

test("rests count, and what ended more than ten seconds ago does not", () => {
  const rate = new ApplyRate();
  rate.add(0, 1_000, 90_000);
  rate.add(2_000, 3_000, 1_000);
  rate.add(11_000, 12_000, 1_000);
  expect(rate.perSecond()).toBe(200);
});

/** The size of a batch: towards the time asked for, within its bounds, and small at once when there is trouble. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { BatchServo, fixedSize, MOST_BLOCKS } from "../../src/phases/batch-size.js";

const LOTS = 10_000_000;
const servo = (over: Partial<ConstructorParameters<typeof BatchServo>[0]> = {}) =>
  new BatchServo({ targetMs: 500, limitMs: null, least: 64, ...over });

/** Lets a server of so many ms a block take `batches` of the servo's batches; the sizes, and the one that would be next. */
function sizes(size: BatchServo, msPerBlock: number, batches: number): number[] {
  const seen = [size.next(LOTS, 1)];
  for (let n = 0; n < batches; n += 1) {
    const blocks = seen.at(-1) ?? 0;
    size.took(blocks, blocks * msPerBlock);
    seen.push(size.next(LOTS, 1));
  }
  return seen;
}

test("a fast server would be given ten times as much at once, before anybody knows how it takes it", () => {
  expect(sizes(servo(), 0.0625, 6)).toEqual([1024, 2048, 4096, 8000, 8000, 8000, 8000]);
});

test("a slow server's second batch would take as long as its first", () => {
  // 5 ms a block: the first takes 5 s, ten times the target.
  expect(sizes(servo(), 5, 3)).toEqual([1024, 100, 100, 100]);
});

test("one slow batch would be forgotten by the next fast one", () => {
  const size = servo();
  sizes(size, 0.0625, 12);
  size.took(8000, 2000);
  // Small at once; ten fast batches later it is one slow one in ten.
  expect(size.next(LOTS, 1)).toBe(2000);
  const after = sizes(size, 0.0625, 11);
  expect(after.slice(0, 9)).toEqual(new Array(9).fill(2000));
  expect(after.at(-1)).toBeGreaterThan(2000);
});

test("several workers in one slow moment would shrink the size once each", () => {
  const size = servo();
  sizes(size, 0.0625, 12);
  for (let worker = 0; worker < 4; worker += 1) size.took(8000, 2000);
  expect(size.next(LOTS, 4)).toBe(2000);
});

test("batches that the throttle calls too long would go on at their size", () => {
  const size = servo({ limitMs: 300 });
  expect(sizes(size, 0.0625, 8).at(-1)).toBe((300 * 0.8) / 0.0625);
  size.took(3840, 300);
  expect(size.next(LOTS, 1)).toBe(Math.floor(3840 * 0.8));
});

test("empty blocks would lead to a batch of everything", () => {
  expect(sizes(servo(), 0, 20).at(-1)).toBe(MOST_BLOCKS);
});

test("the last batch would keep one worker busy while the others have nothing to do", () => {
  const size = servo();
  sizes(size, 0.0625, 12);
  expect(size.next(20_000, 2)).toBe(8000);
  expect(size.next(10_000, 2)).toBe(5000);
  // Each is a commit: not in ever smaller pieces.
  expect(size.next(1000, 2)).toBe(2000);
});

test("whatever a server does, a batch would be empty, beyond the bound, or grow more than twofold", () => {
  const step = fc.record({ ms: fc.double({ min: 0, max: 1e7, noNaN: true }), isOwn: fc.boolean() });
  const settings = fc.record({
    targetMs: fc.integer({ min: 1, max: 3_600_000 }),
    limitMs: fc.option(fc.integer({ min: 1, max: 3_600_000 })),
    least: fc.constantFrom(1, 16, 64, 8192, 1_048_576),
  });
  fc.assert(
    fc.property(settings, fc.array(step, { maxLength: 60 }), (options, steps) => {
      const size = new BatchServo(options);
      let before = size.next(LOTS * 10, 1);
      for (const { ms, isOwn } of steps) {
        const blocks = isOwn ? before : 7;
        size.took(blocks, ms);
        const now = size.next(LOTS * 10, 1);
        expect(now).toBeGreaterThanOrEqual(options.least);
        expect(now).toBeLessThanOrEqual(Math.max(MOST_BLOCKS, options.least));
        expect(now).toBeLessThanOrEqual(before * 2);
        // Twice its time: at once no more than took its time, unless that is less than there can be.
        if (ms >= options.targetMs * 2)
          expect(now).toBeLessThanOrEqual(Math.max(options.least, (blocks * options.targetMs) / ms));
        before = now;
      }
    }),
    { numRuns: 500 },
  );
});

test("batches of one size would follow the time all the same", () => {
  const size = fixedSize(8192);
  size.took(8192, 60_000);
  expect(size.next(10, 4)).toBe(8192);
});

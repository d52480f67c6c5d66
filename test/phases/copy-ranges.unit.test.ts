/** What is left to copy: whatever sizes a ledger was cut in, each block is handed out once or is in the ledger. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { gapsOf, type Range, Ranges, unitFor } from "../../src/phases/copy-ranges.js";

/** A table, and the ranges that earlier processes committed: cut anywhere at multiples of the unit, some left out. */
const scene = fc
  .record({
    blocks: fc.integer({ min: 0, max: 5000 }),
    unit: fc.constantFrom(1, 4, 7, 64, 8192),
    cuts: fc.array(fc.record({ units: fc.integer({ min: 1, max: 40 }), isDone: fc.boolean() }), {
      maxLength: 60,
    }),
    sizes: fc.array(fc.integer({ min: 0, max: 6000 }), { minLength: 1, maxLength: 20 }),
  })
  .map(({ blocks, unit, cuts, sizes }) => {
    const done: Range[] = [];
    let from = 0;
    for (const { units, isDone } of cuts) {
      const to = Math.min(from + units * unit, blocks);
      if (isDone && to > from) done.push({ from, to });
      from = to;
    }
    return { blocks, unit, sizes, done };
  });

test("a block would be copied twice or never after a resume with another size", () => {
  fc.assert(
    fc.property(scene, ({ blocks, unit, sizes, done }) => {
      // The database gives its rows in any order.
      const ranges = new Ranges(blocks, unit, [...done].reverse());
      const times = new Array<number>(blocks).fill(0);
      const mark = ({ from, to }: Range) => {
        for (let block = from; block < to; block += 1) times[block] = (times[block] ?? 0) + 1;
      };
      for (const range of done) mark(range);
      const numbers = new Set(done.map(({ from }) => from / unit));
      let last = -1;
      for (let turn = 0; ranges.left > 0; turn += 1) {
        const before = ranges.left;
        const range = ranges.take(sizes[turn % sizes.length] ?? 1);
        if (range === undefined) throw new Error(`${before} blocks are left, and none is handed out`);
        mark(range);
        expect(ranges.left).toBe(before - (range.to - range.from));
        expect(range.from).toBeGreaterThan(last);
        last = range.from;
        // The ledger's key: a whole number, and nobody else's.
        expect(range.from % unit).toBe(0);
        expect(numbers.has(range.from / unit)).toBe(false);
        numbers.add(range.from / unit);
      }
      expect(ranges.take(1)).toBeUndefined();
      expect(times.every((n) => n === 1)).toBe(true);
    }),
    { numRuns: 500 },
  );
});

test("a ledger whose batches share a block would be gone on with", () => {
  const overlap = [
    { from: 8, to: 16 },
    { from: 0, to: 9 },
  ];
  expect(() => gapsOf(20, overlap)).toThrow(/blocks 8 to 9 of the source are in two batches/);
  const inside = [
    { from: 0, to: 16 },
    { from: 4, to: 8 },
  ];
  expect(() => new Ranges(20, 4, inside)).toThrow(/blocks 4 to 8 /);
});

test("a batch of more blocks than asked for, or of none", () => {
  const ranges = new Ranges(1000, 64, []);
  expect(ranges.take(200)).toEqual({ from: 0, to: 192 });
  expect(ranges.take(0)).toEqual({ from: 192, to: 256 });
  expect(ranges.take(5000)).toEqual({ from: 256, to: 1000 });
  expect(ranges.take(64)).toBeUndefined();
});

test("a size that is no whole number of units would not be the size that was asked for", () => {
  for (const blocks of [16, 100, 1000, 1024, 8192]) {
    const unit = unitFor(blocks);
    expect(new Ranges(10 * blocks, unit, []).take(blocks)).toEqual({ from: 0, to: blocks });
  }
  expect(unitFor(8192)).toBe(64);
});

import { expect, test } from "vitest";
import { blockCells, PieceMap } from "../../src/phases/piece-map.js";
import type { RunEventBody } from "../../state/events.js";

function told(whole: number[]) {
  const events: Extract<RunEventBody, { event: "map" }>[] = [];
  const emit = (event: RunEventBody) => {
    if (event.event === "map") events.push(event);
  };
  const map = new PieceMap({ emit }, { phase: "index", of: "leaves" }, whole);
  return { map, last: () => events.at(-1) };
}

test("a partition would look complete while one of its indexes is missing", () => {
  const { map, last } = told([3, 3, 3]);
  map.begin(71, 0, "a_pkey");
  map.end(71, 0);
  map.begin(71, 0, "a_x");
  expect(last()).toMatchObject({ cells: "3..", workers: [{ worker: 1, cell: 0, what: "a_x" }] });
  map.end(71, 0);
  expect(last()?.cells).toBe("6..");
  map.end(71, 0);
  expect(last()).toMatchObject({ cells: "x..", workers: [] });
});

test("what an earlier process had done would be shown as still to do", () => {
  const { map, last } = told([1, 1]);
  map.count(1);
  map.tell();
  expect(last()?.cells).toBe(".x");
});

test("workers keep their numbers, and work at no piece is not work at the first one", () => {
  const { map, last } = told([1, 1]);
  map.begin(90, null, "part of the table");
  map.begin(12, 1, "b");
  map.end(90, null);
  map.begin(90, 0, "a");
  expect(last()?.workers.map(({ worker, cell }) => [worker, cell])).toEqual([
    [1, 0],
    [2, 1],
  ]);
  expect(last()?.cells).toBe("..");
});

test("a partition that differs would look like one that is done", () => {
  const { map, last } = told([1, 1]);
  map.end(1, 0);
  map.differs(0);
  map.tell();
  expect(last()?.cells).toBe("!.");
});

test.each([1, 399, 400, 401, 12_345])("%i batches are counted once each, in at most 400 cells", (total) => {
  const { cellOf, whole } = blockCells(total);
  expect(whole).toHaveLength(Math.min(400, total));
  expect(whole.reduce((sum, n) => sum + n, 0)).toBe(total);
  expect(Math.min(...whole)).toBeGreaterThan(0);
  expect([cellOf(0), cellOf(total - 1)]).toEqual([0, whole.length - 1]);
});

test("an empty table has no cells", () => {
  expect(blockCells(0).whole).toEqual([]);
});

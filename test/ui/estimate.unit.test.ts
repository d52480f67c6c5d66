import { describe, expect, test } from "vitest";
import type { RunEvent } from "../../state/events.js";
import { fold } from "../../state/fold.js";
import { estimateText, untilCutover } from "../../ui/estimate.js";
import { foldCells, shapeFor, sparkline } from "../../ui/grid.js";
import { at, done, event, freshView, started } from "./support.js";

const forecast = event(0, {
  event: "forecast",
  phases: [
    { phase: "copy", low: 30, high: 120 },
    { phase: "index", low: 80, high: 320 },
    { phase: "validate", low: 20, high: 80 },
  ],
});

function copy(seconds: number, batchesDone: number, secondsLeft: number | null): RunEvent {
  const counts = { rowsDone: 0, rowsEstimated: 0, batchesDone, batchesTotal: 10, workers: 2 };
  return event(seconds, { event: "copy", ...counts, rowsPerSecond: null, secondsLeft });
}

function left(events: RunEvent[], seconds: number): string | null {
  const view = events.reduce(fold, freshView());
  const estimate = untilCutover(view, Date.parse(at(seconds)));
  return estimate === null ? null : estimateText(estimate);
}

describe("an operator would plan the night by an invented number:", () => {
  test("while nothing is measured it says so", () => {
    expect(left([forecast, started(0, "copy"), copy(1, 0, null)], 1)).toBe("measuring");
  });

  test("a copy twice as slow as the forecast makes the later phases twice as slow", () => {
    // 60 s for a copy forecast at 30: 30 left, then index 160 and validate 40.
    expect(left([forecast, started(0, "copy"), copy(30, 5, 30)], 30)).toBe("about 3m 50s");
  });

  test("a resumed copy is judged by its pace, not by how long this process has been at it", () => {
    // 8 of 10 were there before; 2 more in 12 s are a whole of 60.
    expect(left([forecast, started(0, "copy"), copy(2, 8, 12)], 2)).toBe("about 3m 32s");
  });

  test("without a measured copy the plan's low and high are both told", () => {
    expect(left([forecast, started(0, "validate")], 5)).toBe("15s to 1m 15s");
  });

  test("a phase that takes longer than was estimated is due, not nearly done for ever", () => {
    const events = [
      forecast,
      started(0, "copy"),
      copy(30, 10, 0),
      done(30, "copy", 30_000),
      started(30, "validate"),
    ];
    expect(left(events, 49)).toBe("about 1s");
    expect(left(events, 51)).toBe("validate is due");
  });

  test("there is nothing to say before the copy and after validation", () => {
    expect(left([forecast, started(0, "backup")], 1)).toBeNull();
    expect(left([forecast, started(0, "cutover")], 1)).toBeNull();
    expect(left([started(0, "copy"), copy(30, 5, 30)], 30)).toBeNull();
  });
});

describe("a grid that hides a piece hides its trouble:", () => {
  test.each([1, 7, 40, 160, 161, 1000, 5000])("%i pieces all stand in a cell of 2 lines of 80", (pieces) => {
    const shape = shapeFor(pieces, 80, 2);
    const cells = foldCells(".".repeat(pieces), new Set(), shape.each);
    expect(cells.at(-1)?.to).toBe(pieces);
    expect(Math.ceil(cells.length / shape.across)).toBeLessThanOrEqual(2);
    expect(
      shape.across * (shape.width === 1 ? 1 : shape.width + 1) - (shape.width === 1 ? 0 : 1),
    ).toBeLessThanOrEqual(80);
  });

  test("one piece that differs shows in a cell of many", () => {
    const [cell] = foldCells("xxxxxxx!xx", new Set(), 10);
    expect(cell?.state).toBe("different");
  });

  test("a cell is done only when all of it is", () => {
    expect(foldCells("xxx9", new Set(), 4)[0]?.state).toBe("partly");
    expect(foldCells("xxxx", new Set(), 4)[0]?.state).toBe("done");
    expect(foldCells("....", new Set([2]), 4)[0]).toMatchObject({ state: "partly", busy: true });
  });
});

test("a peak of the change log stays visible when minutes are folded into few characters", () => {
  expect(sparkline([0, 0, 0, 90, 0, 0, 0, 0], 4, "▁▂▃▄▅▆▇█")).toBe("▁█▁▁");
  expect(sparkline([1, 2, 3], 8, "▁▂▃▄▅▆▇█")).toHaveLength(3);
});

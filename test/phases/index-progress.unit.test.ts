import { expect, test, vi } from "vitest";
import { BuildProgress } from "../../src/phases/index-progress.js";
import type { RunEventBody } from "../../state/events.js";

test("a thousand leaves would have the journal written twice for each build", () => {
  vi.useFakeTimers();
  try {
    const told: RunEventBody[] = [];
    const progress = new BuildProgress({ emit: (event: RunEventBody) => told.push(event) }, 1_000, 3);
    progress.step("building indexes");
    for (let leaf = 0; leaf < 1_000; leaf += 1) {
      for (const name of ["pkey", "a_idx", "b_idx"]) {
        progress.begin(1, leaf, name);
        vi.advanceTimersByTime(10);
        progress.built(1, leaf, false);
      }
    }
    const counts = told.filter((event) => event.event === "index");
    // 30 seconds at four a second, the step, and the end.
    expect(counts.length).toBeLessThanOrEqual(122);
    expect(counts.length).toBeGreaterThan(100);
    expect(counts.at(-1)).toMatchObject({ built: 3_000, total: 3_000, current: [] });
    expect(told.findLast((event) => event.event === "map")).toMatchObject({
      cells: expect.stringMatching(/^7{1000}$/),
    });
  } finally {
    vi.useRealTimers();
  }
});

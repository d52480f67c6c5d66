/** A run would take the machine from the application: how many connections, how much memory, how many parallel workers. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { buildMeans, chooseMeans, type ServerMeans } from "../../src/plan/means.js";

/** As initdb leaves it, nobody at work. */
const FRESH: ServerMeans = {
  maxWorkerProcesses: 8,
  maxParallelWorkers: 8,
  maxParallelMaintenance: 2,
  maintenanceKb: 64 * 1024,
  sharedBuffersKb: 128 * 1024,
  activeSessions: 0,
};
const workers = (over: Partial<ServerMeans>) => chooseMeans({ ...FRESH, ...over }).workers;

test("a server of which nothing is known would get more than was measured", () => {
  expect(chooseMeans(FRESH)).toEqual({
    workers: 2,
    workersWhy: "the server is set for 8 processes in parallel, 0 other sessions are at work",
    build: { memoryKb: 64 * 1024, parallel: 1 },
    buildWhy: "maintenance_work_mem 64MB, as the server has it; 1 of 2 parallel workers",
  });
  expect(chooseMeans({ ...FRESH, activeSessions: null })).toMatchObject({
    workers: 2,
    workersWhy: "the server is set for 8 processes in parallel; its load is hidden from this role",
  });
});

test("a small machine would be filled, a large one hardly used", () => {
  expect(
    [1, 2, 3, 4, 8, 12, 16, 64].map((n) => workers({ maxParallelWorkers: n, maxWorkerProcesses: n })),
  ).toEqual([1, 1, 2, 2, 2, 3, 4, 4]);
  // Only the smaller of the two can run.
  expect(workers({ maxWorkerProcesses: 64, maxParallelWorkers: 2 })).toBe(1);
  // No parallel query is wanted: that says nothing of the machine.
  expect(chooseMeans({ ...FRESH, maxParallelWorkers: 0, maxWorkerProcesses: 16 }).workers).toBe(4);
});

test("a busy server would be given as much as an idle one", () => {
  expect([0, 5, 6, 7, 8, 500].map((n) => workers({ activeSessions: n }))).toEqual([2, 2, 2, 1, 1, 1]);
});

test("what the operator says would be overruled", () => {
  expect(chooseMeans({ ...FRESH, activeSessions: 500 }, 6)).toMatchObject({
    workers: 6,
    workersWhy: "as --workers says",
    build: { memoryKb: 64 * 1024, parallel: 0 },
  });
});

test("a server with memory would sort its indexes on disk", () => {
  const large = {
    ...FRESH,
    sharedBuffersKb: 8 * 1024 * 1024,
    maxWorkerProcesses: 16,
    maxParallelWorkers: 16,
  };
  expect(chooseMeans(large, 2)).toMatchObject({
    build: { memoryKb: 128 * 1024, parallel: 2 },
    buildWhy: "maintenance_work_mem 128MB (the server has 64MB); 2 of 2 parallel workers",
  });
});

test("builds side by side would use more memory or processes than the server's settings allow", () => {
  const setting = fc.integer({ min: 0, max: 2000 });
  const server = fc.record({
    maxWorkerProcesses: setting,
    maxParallelWorkers: setting,
    maxParallelMaintenance: setting,
    maintenanceKb: fc.integer({ min: 1024, max: 2 ** 31 }),
    sharedBuffersKb: fc.integer({ min: 128, max: 2 ** 31 }),
    activeSessions: fc.option(setting),
  });
  fc.assert(
    fc.property(server, fc.integer({ min: 1, max: 64 }), (means, n) => {
      const { memoryKb, parallel } = buildMeans(means, n);
      expect(memoryKb).toBeGreaterThanOrEqual(means.maintenanceKb);
      if (memoryKb > means.maintenanceKb) {
        expect(memoryKb * n).toBeLessThanOrEqual(means.maintenanceKb * 4);
        expect(memoryKb * n).toBeLessThanOrEqual(means.sharedBuffersKb);
      }
      expect(parallel).toBeGreaterThanOrEqual(0);
      expect(parallel).toBeLessThanOrEqual(means.maxParallelMaintenance);
      const chosen = chooseMeans(means);
      expect(chosen.workers).toBeGreaterThanOrEqual(1);
      expect(chosen.workers).toBeLessThanOrEqual(4);
    }),
  );
});

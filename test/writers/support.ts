/** A table of one shape and scheme under writers that nobody disturbs. */
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import { mixOf } from "../support/writers/mix.js";
import { fits, SHAPES, type ShapeName, schemeOf } from "../support/writers/shapes.js";
import { type WrittenTable, writtenTable } from "../support/writers/table.js";
import { createItems, startWriters, type Writers } from "../support/writers/writers.js";

export const EXACT = { equal: true, lost: 0, extra: 0, changed: 0, examples: [] };

export interface Scene {
  table: WrittenTable;
  writers: Writers;
  /** Resolves when the writers have committed so many more times. */
  committed(more: number): Promise<void>;
}

export async function scene(
  url: string,
  what: {
    shape: ShapeName;
    scheme: string;
    mix?: string;
    truncates?: boolean;
    seed: number;
    rows?: number;
    schema?: string;
    name?: string;
  },
): Promise<Scene> {
  const { rows = 500, seed, truncates = false, mix = "all" } = what;
  const shape = SHAPES[what.shape];
  expect(fits(what.scheme, shape)).toBe(true);
  const table = writtenTable({
    ...{ shape, scheme: schemeOf(what.scheme, shape), truncates },
    ...(what.name === undefined ? {} : { name: what.name }),
  });
  await createItems(url, table, { rows, seed, fillfactor: 70 });
  const writers = await startWriters({
    ...{ url, table, mix: mixOf(mix), clients: 3, seed, rows, maxRows: 3_000, bulk: 1_000 },
  });
  return {
    table,
    writers,
    // Not expect.poll, which is for tests only: a hook waits too.
    committed: async (more) => {
      const goal = writers.report().commits + more;
      const deadline = performance.now() + 60_000;
      while (writers.report().commits < goal) {
        if (performance.now() > deadline) throw new Error(`no ${more} commits in a minute`);
        await delay(5);
      }
    },
  };
}

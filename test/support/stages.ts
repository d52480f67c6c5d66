/**
 * Where many tests of a file begin: a migration that stands before its cutover, say. Made once by the same phases as
 * everywhere, then copied for each test with its database, which costs a tenth of them.
 */
import { afterAll } from "vitest";
import type { TestMigration } from "./migration.js";

/**
 * Gives a copy of what `build` comes to for `key`; `build` is run once for each key. Call it at the top of a file: the
 * originals are dropped at the file's end, so each test must have dropped its own copy.
 */
export function stages<K extends string | number>(
  build: (key: K) => Promise<TestMigration>,
): (key: K) => Promise<TestMigration> {
  const built = new Map<K, TestMigration>();
  afterAll(async () => {
    for (const { db } of built.values()) await db.drop();
  });
  return async (key) => {
    const original = built.get(key) ?? (await build(key));
    built.set(key, original);
    return original.copy();
  };
}

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { freeName, leafIndexName, newMigrationId } from "../../src/plan/names.js";
import type { Plan } from "../../src/plan/types.js";
import { index, planOf, primaryKey } from "./fixture.js";

/** Every relation name that a plan will make in the source's schema. */
function madeNames(plan: Plan): string[] {
  const { shadow, retired, failed } = plan.names;
  return [
    ...[shadow, retired, failed],
    ...plan.leaves.map((leaf) => leaf.name),
    ...plan.indexes.flatMap((i) => [
      i.shadowName,
      i.retiredName,
      ...plan.leaves.map((leaf) => leafIndexName(leaf, i)),
    ]),
    ...plan.sequences.filter((s) => s.kind === "identity").flatMap((s) => [s.shadowName, s.retiredName]),
  ];
}

describe("a name never collides, so a second attempt does not fail on the first one's tables", () => {
  test("what is taken gets the next generation", () => {
    expect(freeName("orders_retired", new Set())).toBe("orders_retired");
    expect(freeName("orders_retired", new Set(["orders_retired"]))).toBe("orders_retired_2");
    expect(freeName("orders_retired", new Set(["orders_retired", "orders_retired_2"]))).toBe(
      "orders_retired_3",
    );
  });

  test("after a rollback every leaf and index name is new", () => {
    const first = planOf();
    const namesInSchema = ["orders", "orders_pkey", "orders_region_idx", ...madeNames(first)];
    const second = planOf({ table: { namesInSchema } });
    expect(second.leaves.map((leaf) => leaf.name)[0]).toBe("orders_2026_01_2");
    expect(second.names.shadow).toBe("orders_partitioned_2");
    expect(madeNames(second).filter((name) => namesInSchema.includes(name))).toEqual([]);
  });

  test("long names that differ only at the end stay different", () => {
    const [a, b] = [`${"x".repeat(70)}a`, `${"x".repeat(70)}b`].map((name) => freeName(name, new Set()));
    expect(a).not.toBe(b);
    expect(Buffer.byteLength(a ?? "")).toBe(63);
  });

  test("a name is cut between characters, never inside one", () => {
    const name = freeName("ö".repeat(60), new Set());
    expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
    expect(name).toMatch(/^ö+_[0-9a-f]{8}$/);
  });

  test("an index suffix whose leaf names are taken is not used", () => {
    const plan = planOf({ table: { namesInSchema: ["orders", "orders_2026_02_pkey"] } });
    expect(plan.indexes[0]?.leafSuffix).toBe("pkey_2");
  });

  test("names are unique, free and at most 63 bytes, whatever the table is called", () => {
    const word = fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 40 })
      .filter((s) => !s.includes("\0"));
    const fitted = word.map((s) => freeName(s, new Set()));
    fc.assert(
      fc.property(
        fitted,
        fc.array(fitted, { maxLength: 4 }),
        fc.array(fitted, { maxLength: 20 }),
        (name, indexes, others) => {
          const own = [...new Set(indexes)].filter((i) => i !== name);
          const sequence = { schema: "public", name: `${name}_s`, column: "id", kind: "identity" as const };
          const namesInSchema = [...new Set([name, ...own, ...others])];
          const plan = planOf({
            table: {
              name,
              namesInSchema,
              indexes: own.map((i, at) => (at === 0 ? primaryKey(i, ["id"]) : index(i, ["region"]))),
              sequences: [{ ...sequence, grants: [], increment: "1", lastValue: "1", isCalled: false }],
            },
          });
          const made = madeNames(plan);
          expect(new Set(made).size).toBe(made.length);
          expect(made.filter((n) => namesInSchema.includes(n))).toEqual([]);
          expect(Math.max(...made.map((n) => Buffer.byteLength(n)))).toBeLessThanOrEqual(63);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("a migration's id", () => {
  test("is readable, lower case and at most 40 characters", () => {
    expect(newMigrationId("orders", "3f9a1c")).toBe("orders_3f9a1c");
    expect(newMigrationId('public."Conversation Message"', "3F9A1C")).toBe("conversation_message_3f9a1c");
    expect(newMigrationId('"Odd""Name"', "3f9a1c")).toBe("odd_name_3f9a1c");
    expect(newMigrationId('"ñß"', "3f9a1c")).toBe("table_3f9a1c");
    expect(newMigrationId("x".repeat(63), "3f9a1c")).toHaveLength(40);
  });

  test("is refused without enough randomness, because two migrations would share their tables", () => {
    expect(() => newMigrationId("orders", "3f9")).toThrowError(/six random/);
  });

  test("every name made from the longest id fits", () => {
    const { names } = planOf();
    const longest = newMigrationId("x".repeat(63), "3f9a1c");
    const made = Object.values({ ...names, schema: "" }).map((name) =>
      name.replace("orders_3f9a1c", longest),
    );
    expect(Math.max(...made.map((name) => name.length))).toBeLessThanOrEqual(63);
  });
});

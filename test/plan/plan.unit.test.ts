import { describe, expect, test } from "vitest";
import { leafIndexName } from "../../src/plan/names.js";
import { column, index, planOf, primaryKey } from "./fixture.js";

const unique = (name: string, columns: string[], over = {}) =>
  index(name, columns, { unique: true, ...over });

describe("indexes", () => {
  test("the key enforces the pair, and stays a primary key", () => {
    const { indexes, key, keyIndexName } = planOf();
    expect(keyIndexName).toBe("orders_pkey");
    expect(key).toEqual([{ name: "id", type: "bigint" }]);
    expect(indexes[0]).toMatchObject({
      finalName: "orders_pkey",
      isPair: true,
      unique: true,
      build: { kind: "constraint", definition: `PRIMARY KEY ("id", "created_at")` },
    });
    expect(indexes[1]).toMatchObject({
      isPair: false,
      build: { kind: "index", tail: " USING btree (region)" },
    });
  });

  test("a key that holds the partition column already is not made longer", () => {
    const { indexes, consequences } = planOf({
      table: { indexes: [primaryKey("pk", ["created_at", "id"])] },
    });
    expect(indexes[0]?.build).toEqual({ kind: "constraint", definition: `PRIMARY KEY ("created_at", "id")` });
    expect(consequences.map((c) => c.code)).not.toContain("key-alone-not-unique");
  });

  test("INCLUDE, NULLS NOT DISTINCT and storage parameters are carried; an included column is not named twice", () => {
    const indexes = [
      primaryKey("pk", ["id"], { include: ["created_at", "region"], options: ["fillfactor=70"] }),
      unique("u", ["region", "created_at"], {
        nullsNotDistinct: true,
        constraint: { name: "u", kind: "u", deferrable: false },
        options: ["fillfactor=50"],
      }),
    ];
    expect(planOf({ table: { indexes } }).indexes.map((i) => i.build)).toEqual([
      {
        kind: "constraint",
        definition: `PRIMARY KEY ("id", "created_at") INCLUDE ("region") WITH ("fillfactor"='70')`,
      },
      {
        kind: "constraint",
        definition: `UNIQUE NULLS NOT DISTINCT ("region", "created_at") WITH ("fillfactor"='50')`,
      },
    ]);
  });

  test("without a primary key a unique index on NOT NULL columns is the key, and stays an index", () => {
    const { indexes } = planOf({ table: { indexes: [unique("u", ["region", "id"])] } });
    expect(indexes[0]).toMatchObject({
      isPair: true,
      build: { kind: "index", tail: ` USING btree ("region", "id", "created_at")` },
    });
  });

  test("--key with another index than the primary key extends both, and says so for both", () => {
    const plan = planOf({
      table: { indexes: [primaryKey("pk", ["id"]), unique("u", ["region"])] },
      options: { by: "created_at", every: "month", key: "u" },
    });
    expect(plan.indexes.map((i) => [i.finalName, i.isPair, i.build.kind])).toEqual([
      ["u", true, "index"],
      ["pk", false, "constraint"],
    ]);
    expect(plan.indexes[1]?.build).toEqual({
      kind: "constraint",
      definition: `PRIMARY KEY ("id", "created_at")`,
    });
    const advice = plan.consequences.filter((c) => c.code === "key-alone-not-unique").map((c) => c.advice);
    expect(advice).toHaveLength(2);
    expect(advice.join()).toContain(`ON CONFLICT ("id")`);
    expect(advice.join()).toContain(`ON CONFLICT ("region")`);
  });

  test("leaf index names carry the leaf's name", () => {
    const plan = planOf();
    const [leaf] = plan.leaves;
    const [pair] = plan.indexes;
    if (leaf === undefined || pair === undefined) throw new Error("the plan is empty");
    expect(leafIndexName(leaf, pair)).toBe("orders_2026_01_pkey");
  });
});

describe("what the operator is told beforehand", () => {
  test("a nullable partition column becomes NOT NULL, in the DDL and in words", () => {
    const columns = [
      column("id", "bigint"),
      column("created_at", "timestamp with time zone", { notNull: false }),
    ];
    const plan = planOf({ table: { columns } });
    expect(plan.consequences.map((c) => c.code)).toContain("partition-column-not-null");
    expect(plan.shadowDdl.map((s) => s.sql)).toContain(
      `ALTER TABLE "public"."orders_partitioned" ALTER COLUMN "created_at" SET NOT NULL`,
    );
  });

  test("the end of the leaves is named as a date", () => {
    const told = planOf().consequences.find((c) => c.code === "rows-outside-leaves");
    expect(told?.what).toContain("2026-06-01 00:00:00+00");
    expect(told?.advice).toContain("created ahead");
  });

  test("each thing that will be different is said once", () => {
    expect(planOf().consequences.map((c) => c.code)).toEqual([
      "key-alone-not-unique",
      "queries-without-partition-column",
      "rows-outside-leaves",
      "snapshots-across-cutover",
      "no-concurrent-index-on-parent",
    ]);
  });

  test("more leaves than the server has locks for are announced before they fail", () => {
    const plan = planOf({ options: { by: "created_at", every: "hour", ahead: "1000" } });
    const told = plan.consequences.find((c) => c.code === "many-locks");
    expect(plan.leaves.length).toBeGreaterThan(2134);
    expect(told?.what).toContain(`${plan.leaves.length} leaves`);
    expect(told?.advice).toMatch(/max_locks_per_transaction = \d+;/);
    expect(planOf().consequences.map((c) => c.code)).not.toContain("many-locks");
  });

  test("the forecast of the measured table is the measurement, and an empty one costs seconds", () => {
    const measured = planOf().forecast;
    expect(measured.walBytes).toBe(1_487_000_000);
    expect(measured.seconds).toEqual({ low: 29, high: 116 });
    expect(measured.extraDiskBytes).toBeGreaterThan(900_000_000);
    const empty = planOf({
      table: { heapBytes: 0, indexBytes: 0 },
      survey: { min: null, max: null, rows: 0 },
    });
    expect(empty.forecast).toMatchObject({ seconds: { low: 2, high: 8 }, extraDiskBytes: 0, walBytes: 0 });
  });

  test("rows per leaf follow the sample, and are unknown without one", () => {
    const values = [
      "2026-01-21 00:00:00+00",
      "2026-02-01 00:00:00+00",
      "2026-02-28 23:00:00+00",
      "2026-03-01 00:00:00+00",
    ];
    const estimated = planOf({ survey: { rows: 1000, sample: { values, fraction: 0.004 } } });
    expect(estimated.leaves.map((leaf) => leaf.estimatedRows)).toEqual([250, 500, 250, 0, 0]);
    expect(planOf().leaves.map((leaf) => leaf.estimatedRows)).toEqual([null, null, null, null, null]);
    const hash = planOf({ options: { by: "id", hash: "4" }, survey: { rows: 1000 } });
    expect(hash.leaves.map((leaf) => leaf.estimatedRows)).toEqual([250, 250, 250, 250]);
  });
});

test("the plan of one input is always the same, and survives JSON: it is kept in the journal and in the database", () => {
  const plan = planOf();
  expect(planOf()).toEqual(plan);
  expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
});

test("a column typed in capitals is found as psql would find it, and the plan has its real name", () => {
  const plan = planOf({ options: { by: "CREATED_AT", every: "month" } });
  expect(plan.request.scheme.column).toBe("created_at");
  expect(plan.partitionBy).toEqual([{ name: "created_at", type: "timestamp with time zone" }]);
});

test("generated columns are not written, and identity is known", () => {
  const columns = [
    column("id", "bigint", { identity: "always" }),
    column("created_at", "timestamp with time zone"),
    column("g", "integer", { generated: "stored" }),
  ];
  expect(planOf({ table: { columns } })).toMatchObject({ writable: ["id", "created_at"], hasIdentity: true });
});

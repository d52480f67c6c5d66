/** What an operator would lose: a table begun before its turn, or one that could have finished left standing. */
import { expect, test } from "vitest";
import { configSchema, type PartwayConfig } from "../../src/config/schema.js";
import { orderOf } from "../../src/many/order.js";
import { type Step, walk } from "../../src/many/walk.js";

const T = { by: "at", every: "month" };

/** Walks with every table's end in the test's hands. */
function walking(config: PartwayConfig, stopped = () => false) {
  const log: string[] = [];
  const ends = new Map<string, (how: Step) => void>();
  const order = orderOf(configSchema.parse(config), "f");
  const walked = walk(
    order,
    ({ name }) => {
      log.push(name);
      return new Promise((resolve) => ends.set(name, resolve));
    },
    stopped,
  ).then(({ waiting }) =>
    Object.fromEntries(waiting.map(({ table, for: others }) => [table.name, others.map((o) => o.name)])),
  );
  /** Ends a table's step and lets whatever follows from it begin. */
  const end = async (name: string, how: Step = "passed") => {
    const settle = ends.get(name);
    if (settle === undefined) throw new Error(`${name} has not begun`);
    settle(how);
    for (let turns = 0; turns < 10; turns += 1) await Promise.resolve();
  };
  return { log, end, walked };
}

test("a lower tier would not wait for the higher, or a table for what it comes after", async () => {
  const { log, end, walked } = walking({
    tables: {
      low: { ...T, priority: "low" },
      a: { ...T, together: true },
      b: { ...T, together: true, after: ["a"] },
      c: { ...T, together: true },
    },
  });
  expect(log).toEqual(["a", "c"]);
  await end("a");
  expect(log).toEqual(["a", "c", "b"]);
  await end("b");
  expect(log).toEqual(["a", "c", "b"]);
  await end("c");
  expect(log).toEqual(["a", "c", "b", "low"]);
  await end("low");
  expect(await walked).toEqual({});
});

test("more would run at once than parallel says, or tables that do not belong together", async () => {
  const { log, end } = walking({ parallel: 2, tables: { a: T, b: T, x: { ...T, together: "x" }, c: T } });
  expect(log).toEqual(["a", "b"]);
  await end("a");
  expect(log).toEqual(["a", "b", "c"]);
  await end("b");
  await end("c");
  expect(log).toEqual(["a", "b", "c", "x"]);
  await end("x");
});

test("one that failed would stop tables that may run beside it, or let those begin that may not", async () => {
  const { log, end, walked } = walking({
    parallel: 2,
    tables: {
      a: { ...T, together: true },
      b: { ...T, together: true },
      c: { ...T, together: true },
      child: { ...T, together: true, after: ["a"] },
      grandchild: { ...T, together: true, after: ["child"] },
      alone: T,
      low: { ...T, priority: "low" },
    },
  });
  expect(log).toEqual(["a", "b"]);
  await end("a", "failed");
  expect(log).toEqual(["a", "b", "c"]);
  await end("b");
  await end("c");
  expect(log).toEqual(["a", "b", "c"]);
  expect(await walked).toEqual({
    child: ["a"],
    grandchild: ["child"],
    alone: ["a"],
    low: ["a", "child", "grandchild", "alone"],
  });
});

test("one that the operator stopped would let the next begin", async () => {
  const { log, end, walked } = walking({
    parallel: 2,
    tables: { a: T, b: T, c: T },
  });
  await end("a", "stopped");
  expect(log).toEqual(["a", "b"]);
  await end("b");
  expect(Object.keys(await walked)).toEqual(["c"]);
});

test("a stop asked for between two tables would be forgotten", async () => {
  let stopped = false;
  const { log, end, walked } = walking({ tables: { a: T, b: T } }, () => stopped);
  stopped = true;
  await end("a");
  expect(log).toEqual(["a"]);
  expect(await walked).toEqual({ b: [] });
});

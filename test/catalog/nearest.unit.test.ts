import { expect, test } from "vitest";
import { nearest } from "../../src/catalog/nearest.js";

const near = (wanted: string, names: string[]) => nearest(wanted, names, (name) => name);

test("a slip of the finger would bring no suggestion, or the wrong one first", () => {
  expect(near("ordes", ["customers", "orders", "order_items"])).toEqual(["orders"]);
  expect(near("Orders", ["orders_old", "orders", "border"])).toEqual(["orders", "border", "orders_old"]);
  expect(near("message", ["message_recipient", "messages"])).toEqual(["messages", "message_recipient"]);
});

test("names that have nothing in common would be suggested", () => {
  expect(near("zzzz", ["orders", "x", ""])).toEqual([]);
  expect(near("orders", [])).toEqual([]);
});

test("a schema of a thousand similar tables would bury the answer", () => {
  const leaves = Array.from({ length: 1000 }, (_, i) => `events_${i}`);
  expect(near("event_1", leaves)).toHaveLength(5);
  expect(near("event_1", leaves)[0]).toBe("events_1");
});

/** What an operator would lose: an order that cannot be walked, found out in the middle of the night. */
import { describe, expect, test } from "vitest";
import { configSchema, type PartwayConfig } from "../../src/config/schema.js";
import { mayRunTogether, orderOf } from "../../src/many/order.js";

const T = { by: "at", every: "month" };
const order = (config: PartwayConfig) => orderOf(configSchema.parse(config), "partway.config.json");
const names = (config: PartwayConfig) => order(config).tables.map(({ name }) => name);

describe("the order", () => {
  test("goes by tier, then by what comes after what, then as the file lists them", () => {
    expect(
      names({
        tables: {
          logs: { ...T, priority: "low" },
          message_recipient: { ...T, after: ["public.message"] },
          message: T,
          leads: { ...T, priority: "critical" },
          audit: { ...T, priority: 3.5 },
          jobs: { ...T, priority: "high" },
          queue: T,
        },
      }),
    ).toEqual(["leads", "audit", "jobs", "message", "message_recipient", "queue", "logs"]);
  });

  test.each<[string, PartwayConfig, RegExp]>([
    ["no tables", { tables: {} }, /lists no tables/],
    ["an unknown name", { tables: { a: { ...T, after: ["b"] } } }, /tables\.a\.after: b is not one/],
    ["a name that is none", { tables: { a: { ...T, after: ["b c"] } } }, /"b c" is not a table name/],
    ["itself", { tables: { a: { ...T, after: ["a"] } } }, /wait for each other: a after a/],
    [
      "one twice",
      { tables: { a: T, b: { ...T, after: ["a", "public.a"] } } },
      /tables\.b\.after names a twice/,
    ],
    [
      "a round",
      {
        tables: {
          x: T,
          a: { ...T, after: ["c", "x"] },
          b: { ...T, after: ["a"] },
          c: { ...T, after: ["b"] },
        },
      },
      /a after c after b after a/,
    ],
    [
      "a lower tier",
      { tables: { a: { ...T, priority: "high", after: ["b"] }, b: { ...T, priority: "low" } } },
      /tables\.a \(high\) comes after b \(low\)/,
    ],
  ])("with %s in it would be begun", (_what, config, message) => {
    expect(() => order(config)).toThrowError(message);
    expect(() => order(config)).toThrowError(expect.objectContaining({ exitCode: 2 }));
  });

  test("without a file would be an empty one", () => {
    expect(() => orderOf(configSchema.parse({}), null)).toThrowError(/no configuration file/);
  });
});

test("tables would run side by side that nobody said may", () => {
  const {
    tables: [a, b, c, d, e, f],
  } = order({
    tables: {
      a: { ...T, together: true },
      b: { ...T, together: true },
      c: { ...T, together: "night" },
      d: { ...T, together: false },
      e: T,
      f: T,
    },
  });
  if (!a || !b || !c || !d || !e || !f) throw new Error("not six tables");
  expect(mayRunTogether(a, b, null)).toBe(true);
  expect(mayRunTogether(a, c, null)).toBe(false);
  expect(mayRunTogether(d, d, 4)).toBe(false);
  expect(mayRunTogether(e, f, null)).toBe(false);
  expect(mayRunTogether(e, f, 1)).toBe(false);
  expect(mayRunTogether(e, f, 2)).toBe(true);
  expect(mayRunTogether(e, a, 2)).toBe(false);
  expect(mayRunTogether(a, { ...b, tier: 9 }, null)).toBe(false);
});

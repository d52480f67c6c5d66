/** What programs rely on: a published schema that changes must be somebody's decision. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { publishedSchema, SCHEMAS, schemaText } from "../../src/schema/publish.js";
import { expectConforms, violations } from "../support/published.js";

const ROOT = join(import.meta.dirname, "../..");

// After a change that adds: partway schema <name> > schemas/<name>.v1.json. One that takes away or renames needs a v2.
test.each(SCHEMAS)("the schema of %s would change without anybody noticing", (name) => {
  expect(schemaText(name)).toBe(readFileSync(join(ROOT, "schemas", `${name}.v1.json`), "utf8"));
  expect(publishedSchema(name)).toMatchObject({ $id: `partway/${name}/1` });
});

const at = "2026-01-01T00:00:00.000Z";

test.each([
  ["an event without its migration", { at, event: "paused" }],
  ["an event nobody has heard of", { at, migration: "m", event: "rejoiced" }],
  ["rows as text", { at, migration: "m", event: "repaired", keys: "7" }],
])("the schema of events would take %s", (_what, line) => {
  expect(violations("events", line)).not.toEqual([]);
});

test("a field that a later version adds would break who validates today", () => {
  expect(violations("events", { at, migration: "m", event: "repaired", keys: 7, later: true })).toEqual([]);
  // The tests of real output do notice it.
  expect(() => expectConforms("events", { at, migration: "m", event: "paused" })).not.toThrow();
  expect(() => expectConforms("events", { at, migration: "m", event: "paused", later: true })).toThrow();
});

test("an editor would take a configuration that partway refuses, or the other way round", () => {
  const $schema = "node_modules/partway/schemas/config.v1.json";
  const tables = { orders: { by: "created_at", every: "month", ahead: 3, priority: "high" } };
  expect(violations("config", { $schema, workers: 4, tables })).toEqual([]);
  expect(violations("config", { wokers: 4 })).not.toEqual([]);
  expect(violations("config", { tables: { orders: { evry: "month" } } })).not.toEqual([]);
});

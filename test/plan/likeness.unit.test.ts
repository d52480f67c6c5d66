import { expect, test } from "vitest";
import type { TableInfo } from "../../src/catalog/types.js";
import { NOTHING } from "../../src/plan/carry.js";
import { likeness } from "../../src/plan/likeness.js";
import { index, planOf, primaryKey, table } from "./fixture.js";

const FIRST = (list: string) => ` USING btree (stage) WHERE ((stage)::text = ANY ((ARRAY[${list}])::text[]))`;
const AGAIN = (list: string) => ` USING btree (stage) WHERE ((stage)::text = ANY (ARRAY[${list}]))`;

/** Unexplained differences when the source's index reads `before` and the other table's `now`. */
function differences(before: string, now: string): string[] {
  const withIndex = (tail: string) =>
    table({
      indexes: [primaryKey("orders_pkey", ["id"]), index("active", ["stage"], { partial: true, tail })],
    });
  const plan = { ...planOf({}), source: withIndex(before) };
  const found = likeness(plan, { table: withIndex(now), leafOptions: null }, "source");
  return found.unexpected.map((one) => one.fact);
}

test("a partial index of IN over a varchar would stop the migration, since the server writes it another way when read again", () => {
  expect(
    differences(
      FIRST("'queued'::character varying, 'it''s, ]'::character varying"),
      AGAIN("('queued'::character varying)::text, ('it''s, ]'::character varying)::text"),
    ),
  ).toEqual([]);
});

test("an owner whose own rights are written out on the new table would stop the migration", () => {
  const source = table({ grants: null });
  const own = { grantee: "app", grantor: "app", privilege: "SELECT", grantable: false, column: null };
  const told = (grants: (typeof own)[]) => {
    const found = likeness({ ...planOf({}), source }, { table: table({ grants }), leafOptions: null }, "new");
    return found.unexpected.map((one) => one.fact);
  };
  expect(told([own])).toEqual([]);
  expect(told([own, { ...own, grantee: "somebody" }])).toEqual(["grant SELECT to somebody"]);
});

test("TOAST parameters would stop the migration of a table whose leaves need no TOAST table, or be lost unnoticed", () => {
  const source = table({ toastOptions: ["autovacuum_enabled=false"] });
  const told = (toastOptions: string[] | null) => {
    const leafOptions = [{ accessMethod: "heap", options: source.options, toastOptions }];
    return likeness({ ...planOf({}), source }, { table: table(), leafOptions }, "new").unexpected.map(
      (one) => one.fact,
    );
  };
  expect(told(["autovacuum_enabled=false"])).toEqual([]);
  expect(told(null)).toEqual([]);
  expect(told([])).toEqual(["storage parameters of TOAST"]);
});

test("a view that the application made since would be warned of as a fault of the migration, one that went would not", () => {
  const view = { name: "public.v", definition: "SELECT", options: null, groupsByKey: false };
  const [without, withView] = [table(), table({ attached: { ...NOTHING, views: [view] } })];
  const told = (source: TableInfo, now: TableInfo) =>
    likeness({ ...planOf({}), source }, { table: now, leafOptions: null }, "source");
  expect(told(without, withView)).toMatchObject({
    unexpected: [],
    expected: [{ reason: "made since the plan" }],
  });
  expect(told(withView, without).unexpected.map((one) => one.fact)).toEqual(["view public.v"]);
});

test("another value in that list would go unnoticed", () => {
  expect(
    differences(
      FIRST("'queued'::character varying, 'a'::character varying"),
      AGAIN("('queued'::character varying)::text, ('b'::character varying)::text"),
    ),
  ).toEqual(["index active"]);
});

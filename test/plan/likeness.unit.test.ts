import { expect, test } from "vitest";
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

test("another value in that list would go unnoticed", () => {
  expect(
    differences(
      FIRST("'queued'::character varying, 'a'::character varying"),
      AGAIN("('queued'::character varying)::text, ('b'::character varying)::text"),
    ),
  ).toEqual(["index active"]);
});

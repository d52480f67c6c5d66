import { expect, test } from "vitest";
import { diffFingerprints, withoutName } from "../../src/catalog/fingerprint.js";

test("the operator would not be told which fact changed", () => {
  const before = { lines: ["column 1 id bigint", "index a USING btree (id)", "owner x"] };
  const after = { lines: ["column 1 id numeric", "index a USING btree (id)", "owner x", "trigger t"] };
  expect(diffFingerprints(before, after)).toEqual([
    "- column 1 id bigint",
    "+ column 1 id numeric",
    "+ trigger t",
  ]);
  expect(diffFingerprints(after, before)).toEqual([
    "+ column 1 id bigint",
    "- column 1 id numeric",
    "- trigger t",
  ]);
  expect(diffFingerprints(before, { lines: [...before.lines] })).toEqual([]);
});

test("a fact that stands twice and then once would pass for unchanged", () => {
  expect(diffFingerprints({ lines: ["a", "a", "a"] }, { lines: ["a"] })).toEqual(["- a", "- a"]);
});

test.each([
  ["ON public.orders FOR EACH ROW", "ON <table> FOR EACH ROW"],
  ["REFERENCES public.orders(id)", "REFERENCES <table>(id)"],
  ["public.orders_log, public.orders2, xpublic.orders", "public.orders_log, public.orders2, xpublic.orders"],
  ["app.public.orders", "app.public.orders"],
  ["CHECK ((orders.* IS NOT NULL))", "CHECK ((<table>.* IS NOT NULL))"],
  ["my_orders.*", "my_orders.*"],
  ["f(public.orders,public.orders)", "f(<table>,<table>)"],
])("a rename of ours would look like drift, or hide one: %s", (line, expected) => {
  expect(withoutName(line, "public.orders", "orders")).toBe(expected);
});

test("a name with signs in it would be taken for a pattern", () => {
  expect(withoutName('x "a.b"."C+ (1)$" y', '"a.b"."C+ (1)$"', '"C+ (1)$"')).toBe("x <table> y");
  expect(withoutName('x "aXb"."C+ (1)$" y', '"a.b"."C+ (1)$"', '"C+ (1)$"')).toContain("aXb");
});

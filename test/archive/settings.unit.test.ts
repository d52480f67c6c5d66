/** What an operator would lose: archives at another place than was meant, a secret stored, or a leaf that does not fit. */
import { expect, test } from "vitest";
import { checkArchive, whereOf } from "../../src/archive/settings.js";
import { boundSql, overlapping, unproven } from "../../src/care/definition.js";
import { careTable } from "../care/support.js";

test.each([
  ["/var/archive", { kind: "folder", path: "/var/archive" }],
  ["s3://bucket", { kind: "s3", bucket: "bucket", prefix: "" }],
  ["s3://my.bucket-1/a/b//", { kind: "s3", bucket: "my.bucket-1", prefix: "a/b" }],
])("%s would be another place", (to, where) => {
  expect(whereOf({ to }, "orders")).toMatchObject(where);
});

test.each([
  { to: "archive" },
  { to: "s3://" },
  { to: "s3://Bucket/x" },
  { to: "s3://key:secret@bucket/x" },
  { to: "s3://bucket/x?versionId=1" },
  { to: "https://bucket.example.com" },
  { to: "/var/archive", endpoint: "https://s3.example.com" },
  { to: "s3://bucket", endpoint: "https://key:secret@s3.example.com" },
  { to: "s3://bucket", endpoint: "s3.example.com" },
  { to: "s3://bucket", keyFile: "archive.key" },
  { to: "s3://bucket", keyEnv: "0123456789abcdef" },
  { to: "s3://bucket", keyFile: "/k", keyEnv: "K" },
])("%j would be taken", (settings) => {
  expect(() => checkArchive(settings, "orders")).toThrow(expect.objectContaining({ kind: "bad-input" }));
});

test("a bound would be made of the manifest's own words, or of another range", () => {
  expect(boundSql("FOR VALUES FROM ('2024-01-01') TO ('x'' ; DROP')", 'a"t')).toEqual({
    forValues: "FOR VALUES FROM ('2024-01-01') TO ('x'' ; DROP')",
    condition: `"a""t" IS NOT NULL AND "a""t" >= '2024-01-01' AND "a""t" < 'x'' ; DROP'`,
  });
  expect(boundSql("FOR VALUES FROM (MINVALUE) TO (10)", "n")).toEqual({
    forValues: "FOR VALUES FROM (MINVALUE) TO ('10')",
    condition: `"n" IS NOT NULL AND "n" < '10'`,
  });
  for (const other of ["DEFAULT", "FOR VALUES IN (1)", "FOR VALUES FROM (1, 2) TO (3, 4)"])
    expect(boundSql(other, "n")).toBeNull();
});

test.each([
  ["'2026-01-01 00:00:00+00'", "'2026-02-01 00:00:00+00'", ["l0"]],
  ["'2026-01-31 00:00:00+00'", "'2026-02-02 00:00:00+00'", ["l0", "l1"]],
  ["MINVALUE", "'2026-01-01 00:00:00+00'", []],
  ["'2026-03-01 00:00:00+00'", "MAXVALUE", []],
  ["'2026-02-28 00:00:00+00'", "MAXVALUE", ["l1"]],
])("leaves that overlap %s to %s would be overlooked", (from, to, names) => {
  const table = careTable(["2026-01-01 00:00", "2026-02-01 00:00", "2026-03-01 00:00"]);
  const found = overlapping(table, `FOR VALUES FROM (${from}) TO (${to})`);
  expect(found.map(({ name }) => name)).toEqual(names);
});

const COLUMN = {
  ...{ attnum: 1, name: "c", type: "text", baseType: "pg_catalog.text", typeKind: "b", typeCategory: "S" },
  ...{
    sendFunction: null,
    equalIsIdentical: true,
    hasBtree: true,
    hasHash: true,
    notNull: false,
    default: null,
  },
  ...{ identity: null, generated: null, collation: null, statistics: null, options: [], comment: null },
};

test("a type would be refused that PostgreSQL prints, or words be taken that are more than a type", () => {
  const types = [
    ...["integer", '"char"', "numeric(5,-2)", "character varying(10)[]", "timestamp(3) with time zone"],
    ...[
      "interval day to second(3)",
      "bit varying(5)",
      "public.mood",
      '"Odd S"."Ty""pe"[]',
      "public.geometry(Point,4326)",
    ],
  ];
  for (const type of types) expect(unproven([{ ...COLUMN, type }], []), type).toEqual([]);
  const more = [
    ...[
      "int; DROP TABLE x",
      "int, x int",
      "int)",
      "text -- ",
      "text DEFAULT public.f()",
      "text CHECK (true)",
    ],
    ...["a.b.c", "text\n", '"a"b"', "numeric(public.f())"],
  ];
  for (const type of more) expect(unproven([{ ...COLUMN, type }], []), type).toHaveLength(1);
  for (const collation of ["C", 'pg_catalog."C" CHECK (true)', 'pg_catalog."C"; SELECT 1'])
    expect(unproven([{ ...COLUMN, collation }], []), collation).toHaveLength(1);
  expect(unproven([{ ...COLUMN, collation: 'pg_catalog."C"' }], [])).toEqual([]);
});

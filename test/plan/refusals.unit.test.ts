import { describe, expect, test } from "vitest";
import type {
  Attached,
  DependentInfo,
  ForeignKeyInfo,
  IncomingKeyInfo,
  TableInfo,
  TriggerInfo,
} from "../../src/catalog/types.js";
import { NOTHING } from "../../src/plan/carry.js";
import type { WalFacts } from "../../src/plan/types.js";
import { column, type Given, index, planOf, primaryKey, table } from "./fixture.js";

interface Case {
  code: string;
  given: Given;
  /** What the operator must find in the remedy: the statement or the option. */
  remedy: string;
}

const unique = (name: string, columns: (string | null)[], over = {}) =>
  index(name, columns, { unique: true, ...over });
const pk = primaryKey("orders_pkey", ["id"]);
const hangs = (kind: DependentInfo["kind"], name: string, detail = ""): Given => ({
  table: { dependents: [{ kind, name, detail }] },
});
const rights = (over: Partial<TableInfo["rights"]>): Given => ({
  table: { rights: { ...table().rights, ...over } },
});
const check = (over: object): Given => ({
  table: {
    checks: [
      { name: "positive", definition: "CHECK ((id > 0))", validated: true, noInherit: false, ...over },
    ],
  },
});
const wal = (over: Partial<WalFacts>): Given => ({
  survey: {
    wal: {
      level: "logical",
      slots: { used: 0, most: 10 },
      mayReplicate: true,
      mayPublish: true,
      mayMakeTemporary: true,
      keptBytes: null,
      ...over,
    },
  },
  options: { by: "created_at", every: "month", capture: "wal" },
});
const has = (over: Partial<Attached>): Given => ({ table: { attached: { ...NOTHING, ...over } } });
const repoint: Given = { options: { by: "created_at", every: "month", incomingFk: "repoint" } };
const FK: ForeignKeyInfo = {
  name: "fk",
  definition: "FOREIGN KEY (region) REFERENCES public.regions(code)",
  validated: true,
  parent: "public.regions",
  onRoot: true,
  leaves: [],
  comment: null,
};
const INCOMING: IncomingKeyInfo = {
  name: "items_fk",
  child: "public.items",
  childKind: "r",
  self: false,
  definition: "FOREIGN KEY (o) REFERENCES public.orders(id)",
  validated: true,
  columns: ["id"],
  childColumns: ["o bigint"],
  comment: null,
};
const TRIGGER: TriggerInfo = {
  name: "Touch",
  definition: "CREATE TRIGGER",
  enabled: "O",
  row: true,
  before: false,
  transition: false,
  comment: null,
};
const by = (name: string, option: object): Given => ({ options: { by: name, ...option } });
const generated = column("created_at", "timestamp with time zone", { generated: "stored" });

const CASES: Case[] = [
  { code: "server-too-old", given: { table: { serverVersion: 130_014 } }, remedy: "PostgreSQL 14" },
  { code: "not-an-ordinary-table", given: { table: { kind: "p" } }, remedy: "not partitioned" },
  { code: "not-an-ordinary-table", given: { table: { kind: "v" } }, remedy: "the table that the view reads" },
  {
    code: "not-permanent",
    given: { table: { persistence: "u" } },
    remedy: `ALTER TABLE "public"."orders" SET LOGGED;`,
  },
  { code: "not-permanent", given: { table: { persistence: "t" } }, remedy: "permanent table" },
  { code: "left-by-partway", given: { table: { name: "orders_retired" } }, remedy: "partway plan orders" },
  {
    code: "left-by-partway",
    given: { table: { name: "orders_partitioned_failed_2" } },
    remedy: "partway plan orders",
  },
  {
    code: "typed-table",
    given: { table: { ofType: "public.t" } },
    remedy: `ALTER TABLE "public"."orders" NOT OF;`,
  },
  { code: "not-owner", given: rights({ ownsTable: false, role: "me" }), remedy: `GRANT "app" TO "me";` },
  {
    code: "no-select",
    given: rights({ selectTable: false }),
    remedy: `GRANT SELECT ON "public"."orders" TO "app";`,
  },
  {
    code: "no-create-in-schema",
    given: rights({ createInSchema: false }),
    remedy: `GRANT USAGE, CREATE ON SCHEMA "public" TO "app";`,
  },
  {
    code: "no-create-in-database",
    given: rights({ createInDatabase: false }),
    remedy: `GRANT CREATE ON DATABASE "app" TO "app";`,
  },
  {
    code: "partway-schema-foreign",
    given: rights({ partwaySchema: "foreign" }),
    remedy: "GRANT USAGE, CREATE ON SCHEMA partway",
  },
  {
    code: "owner-without-rights",
    given: { table: { grants: [] } },
    remedy: `GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON`,
  },
  {
    code: "no-key",
    given: { table: { indexes: [] } },
    remedy: `CREATE UNIQUE INDEX CONCURRENTLY "orders_key" ON "public"."orders" ("id")`,
  },
  { code: "no-key", given: { table: { indexes: [unique("e", [null])] } }, remedy: "CREATE UNIQUE INDEX" },
  {
    code: "no-key",
    given: { table: { indexes: [unique("u", ["id"], { partial: true })] } },
    remedy: "CREATE UNIQUE INDEX",
  },
  {
    code: "no-key",
    given: { table: { indexes: [unique("u", ["id"], { plain: false })] } },
    remedy: "CREATE UNIQUE INDEX",
  },
  { code: "no-key", given: { table: { indexes: [unique("u", ["amount"])] } }, remedy: "NOT NULL" },
  { code: "wal-level", given: wal({ level: "replica" }), remedy: "ALTER SYSTEM SET wal_level = logical;" },
  {
    code: "no-free-slot",
    given: wal({ slots: { used: 10, most: 10 } }),
    remedy: "ALTER SYSTEM SET max_replication_slots = 11;",
  },
  {
    code: "no-replication-right",
    given: wal({ mayReplicate: false }),
    remedy: `ALTER ROLE "app" REPLICATION;`,
  },
  {
    code: "no-publication-right",
    given: wal({ mayPublish: false }),
    remedy: `GRANT CREATE ON DATABASE "app" TO "app";`,
  },
  {
    code: "no-temporary-right",
    given: wal({ mayMakeTemporary: false }),
    remedy: `GRANT TEMPORARY ON DATABASE "app" TO "app";`,
  },
  {
    code: "replica-identity",
    given: { ...wal({}), table: { replicaIdentity: "n" } },
    remedy: `ALTER TABLE "public"."orders" REPLICA IDENTITY DEFAULT;`,
  },
  {
    code: "replica-identity",
    given: { ...wal({}), table: { indexes: [unique("by_id", ["id"])] } },
    remedy: `REPLICA IDENTITY USING INDEX "by_id";`,
  },
  {
    code: "generated-identity",
    given: {
      ...wal({}),
      table: { replicaIdentity: "f", columns: [...table().columns, { ...generated, name: "made" }] },
    },
    remedy: "REPLICA IDENTITY DEFAULT",
  },
  {
    code: "no-such-key",
    given: { options: { by: "created_at", every: "month", key: "nope" } },
    remedy: "orders_pkey",
  },
  {
    code: "key-unusable",
    given: {
      table: { indexes: [pk, unique("u", ["amount"])] },
      options: { by: "created_at", every: "month", key: "u" },
    },
    remedy: "Name one of orders_pkey with --key",
  },
  {
    code: "deferrable-key",
    given: {
      table: { indexes: [{ ...pk, constraint: { name: "orders_pkey", kind: "p", deferrable: true } }] },
    },
    remedy: `ADD CONSTRAINT "orders_pkey" PRIMARY KEY ("id") NOT DEFERRABLE;`,
  },
  { code: "no-such-column", given: by("creatd_at", { every: "month" }), remedy: "created_at" },
  {
    code: "unsuitable-column-type",
    given: by("amount", { every: "month" }),
    remedy: "--by: created_at, day",
  },
  { code: "unsuitable-column-type", given: by("id", { every: "month" }), remedy: "--step" },
  { code: "unsuitable-column-type", given: by("amount", { step: "10" }), remedy: "--by: id" },
  { code: "unsuitable-column-type", given: by("created_at", { step: "10" }), remedy: "--every month" },
  { code: "unsuitable-column-type", given: by("doc", { hash: "4" }), remedy: "--by: id" },
  { code: "unsuitable-column-type", given: by("doc", { list: "a" }), remedy: "region" },
  { code: "unsuitable-column-type", given: by("note", { list: "a" }), remedy: "region" },
  {
    code: "generated-partition-column",
    given: { table: { columns: [column("id", "bigint"), generated] } },
    remedy: `ALTER COLUMN "created_at" DROP EXPRESSION`,
  },
  {
    code: "reserved-column-name",
    given: {
      table: {
        columns: [
          column("id", "bigint"),
          column("created_at", "timestamp with time zone"),
          column("partway_op", "text"),
        ],
      },
    },
    remedy: `RENAME COLUMN "partway_op"`,
  },
  {
    code: "hour-on-date",
    given: { ...by("day", { every: "hour" }), survey: { min: "2026-03-01", max: "2026-03-02" } },
    remedy: "--every day",
  },
  {
    code: "null-partition-values",
    given: { survey: { nullRows: true } },
    remedy: `WHERE "created_at" IS NULL; ALTER TABLE`,
  },
  {
    code: "infinite-partition-values",
    given: { survey: { infiniteRows: true } },
    remedy: "IN ('infinity', '-infinity')",
  },
  {
    code: "values-outside-list",
    given: { ...by("region", { list: "eu,us" }), survey: { distinct: ["eu", "apac", "a,b"] } },
    remedy: `--list 'eu,us,apac,"a,b"'`,
  },
  {
    code: "too-many-list-values",
    given: {
      ...by("region", { list: "eu" }),
      survey: { distinct: Array.from({ length: 1001 }, (_, i) => `r${i}`) },
    },
    remedy: "--hash 8",
  },
  {
    code: "too-many-leaves",
    given: { survey: { min: "0001-01-01 00:00:00+00" } },
    remedy: "created_at = 0001-01-01",
  },
  {
    code: "leaf-beyond-type",
    given: {
      ...by("n", { step: "1000" }),
      table: { columns: [column("id", "bigint"), column("n", "smallint")] },
      survey: { min: "0", max: "32767" },
    },
    remedy: "--step",
  },
  {
    code: "unique-without-partition-key",
    given: { table: { indexes: [pk, unique("orders_region_key", ["region"])] } },
    remedy: `DROP INDEX CONCURRENTLY "public"."orders_region_key"; Or take it as the key, --key orders_region_key`,
  },
  {
    code: "unique-without-partition-key",
    given: {
      table: {
        indexes: [
          pk,
          unique("n_key", ["amount"], { constraint: { name: "n_key", kind: "u", deferrable: false } }),
        ],
      },
    },
    remedy: `ALTER TABLE "public"."orders" DROP CONSTRAINT "n_key";`,
  },
  {
    code: "invalid-index",
    given: { table: { indexes: [pk, index("broken", ["region"], { valid: false })] } },
    remedy: `REINDEX INDEX CONCURRENTLY "public"."broken";`,
  },
  {
    code: "index-tablespace",
    given: { table: { indexes: [pk, index("i", ["region"], { tablespace: "fast", partial: true })] } },
    remedy: `ALTER INDEX "public"."i" SET TABLESPACE pg_default;`,
  },
  {
    code: "exclusion-constraint",
    given: hangs("exclusion-constraint", "no_overlap"),
    remedy: `DROP CONSTRAINT "no_overlap";`,
  },
  {
    code: "check-no-inherit",
    given: check({ noInherit: true, definition: "CHECK ((id > 0)) NO INHERIT" }),
    remedy: `ADD CONSTRAINT "positive" CHECK ((id > 0));`,
  },
  {
    code: "check-whole-row",
    given: check({ definition: "CHECK ((orders.* IS NOT NULL))" }),
    remedy: "CHECK (<columns>)",
  },
  {
    code: "check-not-enforced",
    given: check({ validated: false, definition: "CHECK ((id > 0)) NOT ENFORCED" }),
    remedy: `DROP CONSTRAINT "positive";`,
  },
  {
    code: "foreign-key-not-valid",
    given: has({ foreignKeys: [{ ...FK, validated: false }] }),
    remedy: `VALIDATE CONSTRAINT "fk";`,
  },
  {
    code: "foreign-key-not-enforced",
    given: has({ foreignKeys: [{ ...FK, validated: false, definition: `${FK.definition} NOT ENFORCED` }] }),
    remedy: `DROP CONSTRAINT "fk";`,
  },
  {
    code: "incoming-foreign-key",
    given: has({ incomingKeys: [INCOMING] }),
    remedy: `ALTER TABLE public.items DROP CONSTRAINT "items_fk";`,
  },
  {
    code: "incoming-foreign-key-cannot-move",
    given: { ...has({ incomingKeys: [INCOMING] }), ...repoint },
    remedy: "--incoming-fk drop",
  },
  {
    code: "incoming-foreign-key-cannot-move",
    given: {
      ...has({ incomingKeys: [{ ...INCOMING, self: true, columns: ["id", "created_at"] }] }),
      ...repoint,
    },
    remedy: "--incoming-fk drop",
  },
  {
    code: "incoming-foreign-key-cannot-move",
    given: {
      ...has({ incomingKeys: [{ ...INCOMING, childKind: "p", columns: ["id", "created_at"] }] }),
      ...repoint,
    },
    remedy: "--incoming-fk drop",
  },
  {
    code: "row-trigger-with-transition-table",
    given: has({ triggers: [{ ...TRIGGER, transition: true }] }),
    remedy: `DROP TRIGGER "Touch" ON "public"."orders";`,
  },
  { code: "trigger", given: hangs("trigger", "t on public.v"), remedy: "DROP TRIGGER t on public.v;" },
  { code: "rule", given: hangs("rule", "r"), remedy: `DROP RULE "r" ON "public"."orders";` },
  {
    code: "forced-row-security",
    given: { table: { rowSecurity: true, forceRowSecurity: true } },
    remedy: "NO FORCE ROW LEVEL SECURITY;",
  },
  {
    code: "view-groups-by-key",
    given: has({ views: [{ name: "public.v", definition: "SELECT", options: null, groupsByKey: true }] }),
    remedy: "CREATE OR REPLACE VIEW public.v",
  },
  {
    code: "function-groups-by-key",
    given: has({ functions: [{ name: "public.f()", definition: "CREATE", groupsByKey: true }] }),
    remedy: "CREATE OR REPLACE FUNCTION public.f()",
  },
  { code: "other-dependent", given: hangs("view", "public.v"), remedy: "Drop view public.v" },
  {
    code: "materialized-view",
    given: hangs("materialized-view", "public.m"),
    remedy: "DROP MATERIALIZED VIEW public.m;",
  },
  {
    code: "publication-not-via-root",
    given: has({ publications: [{ name: "pub", viaRoot: false, columns: null, where: null }] }),
    remedy: `ALTER PUBLICATION "pub" SET (publish_via_partition_root = true);`,
  },
  {
    code: "publication-without-key",
    given: has({ publications: [{ name: "pub", viaRoot: true, columns: ["id", "note"], where: null }] }),
    remedy: `ADD TABLE "public"."orders" ("id", "note", "created_at");`,
  },
  {
    code: "publication",
    given: hangs("publication", "pub", "for all tables"),
    remedy: `DROP PUBLICATION "pub";`,
  },
  {
    code: "publication",
    given: hangs("publication", "pub", "for tables in schema public"),
    remedy: `ALTER PUBLICATION "pub" DROP TABLES IN SCHEMA public;`,
  },
  {
    code: "inheritance-child",
    given: hangs("inheritance-child", "public.c"),
    remedy: `ALTER TABLE public.c NO INHERIT "public"."orders";`,
  },
  {
    code: "inheritance-parent",
    given: hangs("inheritance-parent", "public.p"),
    remedy: `ALTER TABLE "public"."orders" NO INHERIT public.p;`,
  },
  {
    code: "inheritance-parent",
    given: hangs("inheritance-parent", "public.p", "the table is its partition"),
    remedy: `ALTER TABLE public.p DETACH PARTITION "public"."orders";`,
  },
  {
    code: "security-label",
    given: hangs("security-label", "selinux"),
    remedy: `SECURITY LABEL FOR "selinux" ON TABLE "public"."orders" IS NULL;`,
  },
  {
    code: "extension-member",
    given: hangs("extension", "postgis"),
    remedy: `ALTER EXTENSION "postgis" DROP TABLE "public"."orders";`,
  },
  { code: "other-dependent", given: hangs("other", "type public.pair"), remedy: "Drop type public.pair" },
  {
    code: "other-dependent",
    given: hangs("other", "not-null constraint nn"),
    remedy: `ALTER TABLE "public"."orders" VALIDATE CONSTRAINT nn;`,
  },
];

describe("what cannot be carried is refused with the statement that mends it, and the plan does not throw", () => {
  test.each(CASES)("$code: $remedy", ({ code, given, remedy }) => {
    const { refusals } = planOf(given);
    const refusal = refusals.find((r) => r.code === code);
    expect(refusals.map((r) => r.code)).toContain(code);
    expect(refusal?.remedy).toContain(remedy);
    expect(refusal?.what).not.toBe("");
    expect(refusal?.why).not.toBe("");
  });

  test("a table without obstacles is not refused", () => {
    expect(planOf().refusals).toEqual([]);
  });

  test("everything is said at once, so that the operator does not come back ten times", () => {
    const { refusals } = planOf({
      table: {
        persistence: "u",
        attached: { ...NOTHING, triggers: [{ ...TRIGGER, transition: true }] },
        dependents: [{ kind: "rule", name: "r", detail: "" }],
      },
    });
    expect(refusals.map((r) => r.code)).toEqual([
      "not-permanent",
      "row-trigger-with-transition-table",
      "rule",
    ]);
  });

  test("a superuser is not told to grant rights to himself", () => {
    expect(planOf(rights({ superuser: true, ownsTable: false, createInSchema: false })).refusals).toEqual([]);
  });

  test("a unique index that holds the partition column is no obstacle, nor is a text with .* in a check", () => {
    const given = {
      table: {
        indexes: [pk, unique("u", ["region", "created_at"])],
        checks: [
          { name: "c", definition: "CHECK ((region ~ 'a.*'::text))", validated: true, noInherit: false },
        ],
      },
    };
    expect(planOf(given).refusals).toEqual([]);
  });

  test("--key with another index lets both it and the primary key through", () => {
    const indexes = [pk, unique("orders_region_key", ["region"])];
    const options = { by: "created_at", every: "month", key: "orders_region_key" };
    expect(planOf({ table: { indexes }, options }).refusals).toEqual([]);
  });

  test("a list written otherwise than the server prints it is the same list", () => {
    const columns = [column("id", "bigint"), column("on_hold", "boolean"), column("n", "integer")];
    const flags = {
      ...by("on_hold", { list: "t,F" }),
      table: { columns },
      survey: { distinct: ["true", "false"] },
    };
    expect(planOf(flags).refusals).toEqual([]);
    const numbers = { ...by("n", { list: "007,+8" }), table: { columns }, survey: { distinct: ["7", "8"] } };
    expect(planOf(numbers).refusals).toEqual([]);
  });
});

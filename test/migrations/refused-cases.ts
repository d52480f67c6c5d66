/** Tables that cannot be migrated as they are: one for each refusal a server can be brought to, with what mends it. */
import type { RawOptions } from "../../src/config/request.js";

export const T = "CREATE TABLE public.t (id bigserial PRIMARY KEY, at timestamptz NOT NULL, n int)";
export const MONTHS: RawOptions = { by: "at", every: "month", ahead: "1" };

export interface Case {
  name: string;
  /** The first version that knows the statements. */
  since?: number;
  /** As superuser when true. */
  superuser?: true;
  setup: readonly string[];
  options?: RawOptions;
  code: string;
  /** In the explanation: the thing's own name. */
  names: RegExp;
  /** Statements run instead of the remedy's own, where that leaves something to the operator; null: none mends it. */
  instead?: readonly string[] | null;
  /** Only on servers below this server_version_num. */
  before?: number;
  /** Options that the remedy asks for. */
  after?: RawOptions;
}

export const CASES: readonly Case[] = [
  {
    name: "a foreign key that was never validated",
    setup: [
      "CREATE TABLE public.users (id int PRIMARY KEY)",
      T,
      `ALTER TABLE public.t ADD CONSTRAINT "by user" FOREIGN KEY (n) REFERENCES public.users NOT VALID`,
    ],
    code: "foreign-key-not-valid",
    names: /by user/,
    before: 180_000,
  },
  {
    name: "an incoming foreign key",
    setup: [T, `CREATE TABLE public."Child Table" (t_id bigint CONSTRAINT "to t" REFERENCES public.t)`],
    code: "incoming-foreign-key",
    names: /to t on public."Child Table"/,
  },
  {
    name: "a foreign key to itself",
    setup: [T, "ALTER TABLE public.t ADD parent bigint CONSTRAINT own_parent REFERENCES public.t"],
    code: "incoming-foreign-key",
    names: /own_parent/,
  },
  {
    name: "a trigger for each row with a transition table",
    setup: [
      T,
      "CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
      `CREATE TRIGGER "Touch it" AFTER INSERT ON public.t REFERENCING NEW TABLE AS fresh FOR EACH ROW EXECUTE FUNCTION public.touch()`,
    ],
    code: "row-trigger-with-transition-table",
    names: /Touch it/,
  },
  {
    name: "a temporary view of some session",
    setup: [T, "CREATE TEMPORARY VIEW passing AS SELECT id FROM public.t"],
    code: "other-dependent",
    names: /passing/,
    instead: ["DROP VIEW pg_temp.passing"],
  },
  {
    name: "a view that groups by the key",
    setup: [T, `CREATE VIEW public."Per t" AS SELECT id, n, count(*) FROM public.t GROUP BY id`],
    code: "view-groups-by-key",
    names: /Per t/,
    instead: [`DROP VIEW public."Per t"`],
  },
  {
    name: "a materialized view",
    setup: [T, "CREATE MATERIALIZED VIEW public.daily AS SELECT at::date, count(*) FROM public.t GROUP BY 1"],
    code: "materialized-view",
    names: /public\.daily/,
  },
  {
    name: "a rule",
    setup: [T, `CREATE RULE "no delete" AS ON DELETE TO public.t DO INSTEAD NOTHING`],
    code: "rule",
    names: /no delete/,
  },
  {
    name: "forced row security",
    setup: [T, "ALTER TABLE public.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"],
    code: "forced-row-security",
    names: /row-level security/,
    instead: ["ALTER TABLE public.t NO FORCE ROW LEVEL SECURITY"],
  },
  {
    name: "a publication of the table that sends leaves by name",
    superuser: true,
    setup: [T, `CREATE PUBLICATION "Pub one" FOR TABLE public.t`],
    code: "publication-not-via-root",
    names: /Pub one/,
  },
  {
    name: "a publication of all tables",
    superuser: true,
    setup: [T, "CREATE PUBLICATION everything FOR ALL TABLES"],
    code: "publication",
    names: /everything/,
  },
  {
    name: "a publication of the schema",
    since: 150_000,
    superuser: true,
    setup: [T, "CREATE PUBLICATION of_schema FOR TABLES IN SCHEMA public"],
    code: "publication",
    names: /of_schema/,
  },
  {
    name: "a child by inheritance",
    setup: [T, "CREATE TABLE public.child () INHERITS (public.t)"],
    code: "inheritance-child",
    names: /child/,
  },
  {
    name: "a parent by inheritance",
    setup: ["CREATE TABLE public.base (n int)", T.replace(", n int)", ") INHERITS (public.base)")],
    code: "inheritance-parent",
    names: /base/,
  },
  {
    name: "a typed table",
    setup: [
      "CREATE TYPE public.shape AS (id bigint, at timestamptz)",
      "CREATE TABLE public.t OF public.shape (PRIMARY KEY (id), at NOT NULL)",
    ],
    code: "typed-table",
    names: /shape/,
  },
  {
    name: "an unlogged table",
    setup: [T.replace("TABLE", "UNLOGGED TABLE")],
    code: "not-permanent",
    names: /unlogged/,
  },
  {
    name: "a deferrable primary key",
    setup: [
      "CREATE TABLE public.t (id bigint CONSTRAINT later PRIMARY KEY DEFERRABLE, at timestamptz NOT NULL)",
    ],
    code: "deferrable-key",
    names: /later/,
  },
  {
    name: "an exclusion constraint",
    setup: [
      T,
      "ALTER TABLE public.t ADD s tstzrange, ADD CONSTRAINT no_overlap EXCLUDE USING gist (s WITH &&)",
    ],
    code: "exclusion-constraint",
    names: /no_overlap/,
  },
  {
    name: "a unique index without the partition column",
    setup: [T, `CREATE UNIQUE INDEX "one n" ON public.t (n)`],
    code: "unique-without-partition-key",
    names: /one n/,
  },
  {
    name: "a unique constraint without the partition column",
    setup: [T, "ALTER TABLE public.t ADD CONSTRAINT one_n UNIQUE (n)"],
    code: "unique-without-partition-key",
    names: /one_n/,
  },
  {
    name: "rows without a partition value",
    setup: [
      T.replace("at timestamptz NOT NULL", "at timestamptz"),
      "INSERT INTO public.t (at) VALUES (NULL)",
    ],
    code: "null-partition-values",
    names: /at is NULL/,
    instead: [
      "UPDATE public.t SET at = now() WHERE at IS NULL",
      "ALTER TABLE public.t ALTER COLUMN at SET NOT NULL",
    ],
  },
  {
    name: "infinite partition values",
    setup: [T, "INSERT INTO public.t (at) VALUES ('infinity'), ('-infinity')"],
    code: "infinite-partition-values",
    names: /at is infinite/,
    instead: ["UPDATE public.t SET at = now() WHERE at IN ('infinity', '-infinity')"],
  },
  {
    name: "infinite partition values, for which there is a DEFAULT leaf",
    setup: [T, "INSERT INTO public.t (at) VALUES ('infinity'), ('-infinity')"],
    code: "infinite-partition-values",
    names: /at is infinite/,
    instead: [],
    after: { every: "month", nullKeys: "default-leaf" },
  },
  {
    name: "rows without a partition value, which a DEFAULT leaf would take but the primary key would not",
    setup: [
      T.replace("at timestamptz NOT NULL", "at timestamptz"),
      "INSERT INTO public.t (at) VALUES (NULL), ('infinity')",
    ],
    options: { ...MONTHS, nullKeys: "default-leaf" },
    code: "null-partition-values",
    names: /at is NULL/,
    instead: ["UPDATE public.t SET at = 'infinity' WHERE at IS NULL"],
    after: { every: "month", nullKeys: "default-leaf" },
  },
  {
    name: "a number in whose leaf the type ends, for which there is a DEFAULT leaf",
    setup: [
      T,
      "INSERT INTO public.t (at, n) VALUES (now(), 2147480001), (now(), 2147483647)",
      "ALTER TABLE public.t ALTER n SET NOT NULL",
    ],
    options: { by: "n", step: "1000" },
    code: "leaf-beyond-type",
    names: /2147483647/,
    instead: [],
    after: { by: "n", step: "1000", nullKeys: "default-leaf" },
  },
  {
    name: "a value that is not in the list, for which there is a DEFAULT leaf",
    setup: [
      T,
      "INSERT INTO public.t (at, n) VALUES (now(), 1), (now(), 3)",
      "ALTER TABLE public.t ALTER n SET NOT NULL",
    ],
    options: { by: "n", list: "1" },
    code: "values-outside-list",
    names: /3/,
    instead: [],
    after: { by: "n", list: "1", nullKeys: "default-leaf" },
  },
  {
    name: "a value that is not in the list",
    setup: [
      T,
      "INSERT INTO public.t (at, n) VALUES (now(), 1), (now(), 2), (now(), 3)",
      "ALTER TABLE public.t ALTER n SET NOT NULL",
    ],
    options: { by: "n", list: "1,2" },
    code: "values-outside-list",
    names: /3/,
    instead: [],
    after: { by: "n", list: "1,2,3" },
  },
  {
    name: "a float as partition column",
    setup: [T, "ALTER TABLE public.t ADD f float8 NOT NULL DEFAULT 0"],
    options: { by: "f", step: "10" },
    code: "unsuitable-column-type",
    names: /column f/,
    instead: [],
    after: { by: "n", step: "10" },
  },
  {
    name: "hours of a date",
    setup: [T, "ALTER TABLE public.t ADD d date NOT NULL DEFAULT now()"],
    options: { by: "d", every: "hour" },
    code: "hour-on-date",
    names: /column d/,
    instead: [],
    after: { by: "d", every: "day" },
  },
  {
    name: "a generated partition column",
    setup: [T, "ALTER TABLE public.t ADD d int NOT NULL GENERATED ALWAYS AS (id % 7) STORED"],
    options: { by: "d", step: "10" },
    code: "generated-partition-column",
    names: /column d/,
  },
  {
    name: "no key at all",
    setup: ["CREATE TABLE public.t (id bigint NOT NULL, at timestamptz NOT NULL)"],
    code: "no-key",
    names: /no primary key/,
  },
  {
    name: "a CHECK that is NO INHERIT",
    setup: [T, "ALTER TABLE public.t ADD CONSTRAINT alone CHECK (n > 0) NO INHERIT"],
    code: "check-no-inherit",
    names: /alone/,
  },
  {
    name: "a CHECK of the whole row",
    setup: [T, "ALTER TABLE public.t ADD CONSTRAINT whole CHECK (t IS NOT NULL OR t.n IS NULL)"],
    code: "check-whole-row",
    names: /whole/,
    instead: ["ALTER TABLE public.t DROP CONSTRAINT whole"],
  },
  {
    name: "a function of the row type",
    setup: [T, "CREATE FUNCTION public.title(public.t) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$"],
    code: "other-dependent",
    names: /title/,
  },
  {
    name: "a function whose parsed body groups by the key",
    setup: [
      T,
      "CREATE FUNCTION public.newest() RETURNS SETOF int LANGUAGE sql BEGIN ATOMIC SELECT n FROM public.t GROUP BY id; END",
    ],
    code: "function-groups-by-key",
    names: /newest/,
    instead: ["DROP FUNCTION public.newest()"],
  },
  {
    name: "a default elsewhere that uses the identity's sequence",
    setup: [
      T.replace("bigserial", "bigint GENERATED ALWAYS AS IDENTITY"),
      `CREATE TABLE public."Twin" ("Id" bigint DEFAULT nextval('public.t_id_seq'))`,
    ],
    code: "other-dependent",
    names: /"Twin"."Id"/,
  },
  {
    name: "a table that an earlier migration left",
    setup: [T, "ALTER TABLE public.t RENAME TO t_retired"],
    code: "left-by-partway",
    names: /t_retired/,
    instead: ["ALTER TABLE public.t_retired RENAME TO t"],
  },
  {
    name: "too many leaves for one wrong value",
    setup: [T, "INSERT INTO public.t (at) VALUES ('0001-01-01'), (now())"],
    options: { by: "at", every: "day" },
    code: "too-many-leaves",
    names: /0001-01-01/,
    instead: ["DELETE FROM public.t WHERE at < '2000-01-01'"],
  },
  {
    name: "a column of another table that has the row type",
    setup: [T, "CREATE TABLE public.holder (whole public.t)"],
    code: "other-dependent",
    names: /holder/,
    instead: ["DROP TABLE public.holder"],
  },
];

export const NOT_TABLES: readonly { name: string; setup: readonly string[]; is: string }[] = [
  {
    name: "a partitioned table",
    setup: ["CREATE TABLE public.t (id int, at timestamptz) PARTITION BY RANGE (at)"],
    is: "already partitioned",
  },
  { name: "a view", setup: ["CREATE VIEW public.t AS SELECT 1 AS id, now() AS at"], is: "a view" },
  {
    name: "a materialized view",
    setup: ["CREATE MATERIALIZED VIEW public.t AS SELECT 1 AS id, now() AS at"],
    is: "a materialized view",
  },
  { name: "a sequence", setup: ["CREATE SEQUENCE public.t"], is: "a sequence" },
  {
    name: "an index",
    setup: ["CREATE TABLE public.x (at timestamptz)", "CREATE INDEX t ON public.x (at)"],
    is: "an index",
  },
  {
    name: "a foreign table",
    setup: [
      "CREATE FOREIGN DATA WRAPPER w",
      "CREATE SERVER s FOREIGN DATA WRAPPER w",
      "CREATE FOREIGN TABLE public.t (id int, at timestamptz) SERVER s",
    ],
    is: "a foreign table",
  },
];

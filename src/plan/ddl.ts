/**
 * The shadow's DDL: the parent as LIKE copies it, then everything that LIKE leaves away (DESIGN 7.5), then the leaves.
 * Each statement runs with search_path '' inside one transaction; `plan` prints exactly these.
 */
import type { ColumnInfo, GrantInfo } from "../catalog/types.js";
import { ident, identList, literal, qualified } from "../pg/quote.js";
import { replicaIdentityDdl, statisticsDdl } from "./carry.js";
import { closeFallback } from "./fallback.js";
import { optionList } from "./indexes.js";
import type { Leaf, LeafBounds, Plan, Statement } from "./types.js";

type Facts = Pick<
  Plan,
  "id" | "source" | "names" | "request" | "key" | "partitionBy" | "leaves" | "sequences"
>;

/** Parent, owner, grants, comments, leaves, in the order in which they run. */
export function shadowDdl(plan: Facts): Statement[] {
  return [
    createParent(plan),
    ...withoutInvalidChecks(plan),
    ...notNull(plan),
    ...ownership(plan, shadowOf(plan)),
    ...identityColumns(plan),
    ...columnSettings(plan.source.columns, shadowOf(plan), true),
    ...grants(plan),
    ...comments(plan),
    ...rowSecurity(plan),
    ...replicaIdentityDdl(plan.source.replicaIdentity, shadowOf(plan)),
    ...statisticsDdl(plan, shadowOf(plan), null),
    ...plan.leaves.flatMap((leaf) => leafDdl(plan, leaf)),
  ];
}

/**
 * One leaf of the shadow. CREATE ... PARTITION OF locks the parent ACCESS EXCLUSIVE, which nobody but Partway uses
 * before cutover (DESIGN 7.11: on a live parent, create apart and attach).
 */
export function leafDdl(plan: Facts, leaf: Leaf): Statement[] {
  const { source, names } = plan;
  const table = qualified(names.schema, leaf.name);
  const options = [optionList(source.options), optionList(source.toastOptions, '"toast".')].filter(
    (list) => list !== "",
  );
  const method = source.accessMethod === undefined ? "" : ` USING ${ident(source.accessMethod)}`;
  const create = `CREATE TABLE ${table} PARTITION OF ${shadowOf(plan)} ${forValues(leaf.bounds)}${method}`;
  return [
    { sql: options.length === 0 ? create : `${create} WITH (${options.join(", ")})` },
    ...closeFallback(plan, leaf),
    ...columnSettings(source.columns, table, false),
    ...replicaIdentityDdl(source.replicaIdentity, table),
    ...statisticsDdl(plan, table, leaf),
    ...ownership(plan, table),
    ...revokeDefaults(`TABLE ${table}`, source.defaultGrantees, source.owner),
  ];
}

/** `FOR VALUES FROM ('...') TO ('...')`, or `DEFAULT`. */
export function forValues(bounds: LeafBounds): string {
  switch (bounds.kind) {
    case "range":
      return `FOR VALUES FROM (${literal(bounds.from)}) TO (${literal(bounds.to)})`;
    case "hash":
      return `FOR VALUES WITH (MODULUS ${bounds.modulus}, REMAINDER ${bounds.remainder})`;
    case "list":
      return `FOR VALUES IN (${literal(bounds.value)})`;
    case "default":
      return "DEFAULT";
  }
}

function createParent(plan: Facts): Statement {
  const { source, names, request, partitionBy } = plan;
  const method = { "range-time": "RANGE", "range-int": "RANGE", hash: "HASH", list: "LIST" }[
    request.scheme.kind
  ];
  const carried = ["DEFAULTS", "CONSTRAINTS", "GENERATED", "STORAGE", "COMPRESSION", "COMMENTS"];
  const like = `LIKE ${qualified(names.schema, names.source)} ${carried.map((what) => `INCLUDING ${what}`).join(" ")}`;
  const tablespace = source.tablespace === null ? "" : ` TABLESPACE ${ident(source.tablespace)}`;
  return {
    sql: `CREATE TABLE ${shadowOf(plan)} (${like}) PARTITION BY ${method} (${identList(partitionBy.map((c) => c.name))})${tablespace}`,
    note: "columns, types, defaults, checks and column comments of the source; no index, no foreign key, no trigger",
  };
}

/** LIKE takes a NOT VALID check for valid, and rows that break it could not be copied: it comes with the name. */
function withoutInvalidChecks(plan: Facts): Statement[] {
  return plan.source.checks
    .filter((check) => !check.validated && !check.definition.endsWith(" NOT ENFORCED"))
    .map((check) => ({
      sql: `ALTER TABLE ${shadowOf(plan)} DROP CONSTRAINT ${ident(check.name)}`,
      note: "NOT VALID: comes back at cutover",
    }));
}

/** The policies come with the name; until then nobody but the owner may read the shadow. */
function rowSecurity(plan: Facts): Statement[] {
  const { source } = plan;
  const alter = `ALTER TABLE ${shadowOf(plan)}`;
  return [
    ...(source.rowSecurity ? [{ sql: `${alter} ENABLE ROW LEVEL SECURITY` }] : []),
    ...(source.forceRowSecurity ? [{ sql: `${alter} FORCE ROW LEVEL SECURITY` }] : []),
  ];
}

function notNull(plan: Facts): Statement[] {
  const wanted = [...plan.key, ...plan.partitionBy].map((column) => column.name);
  const nullable = plan.source.columns.filter((column) => wanted.includes(column.name) && !column.notNull);
  return nullable.map((column) => ({
    sql: `ALTER TABLE ${shadowOf(plan)} ALTER COLUMN ${ident(column.name)} SET NOT NULL`,
    note: "a partition key cannot be NULL",
  }));
}

/**
 * LIKE ... INCLUDING IDENTITY would leave the choice of the sequence's name to the server; SEQUENCE NAME (what
 * pg_dump writes) says it, so that every later phase knows it.
 */
function identityColumns(plan: Facts): Statement[] {
  const { source } = plan;
  return plan.sequences
    .filter((sequence) => sequence.kind === "identity")
    .flatMap(({ column, schema, shadowName }) => {
      const name = qualified(schema, shadowName);
      const info = source.sequences.find((sequence) => sequence.column === column);
      const always = source.columns.find((c) => c.name === column)?.identity === "always";
      const options = info?.definition === undefined ? "" : ` ${info.definition}`;
      const comment = info?.comment;
      return [
        {
          sql:
            `ALTER TABLE ${shadowOf(plan)} ALTER COLUMN ${ident(column)} ADD GENERATED ` +
            `${always ? "ALWAYS" : "BY DEFAULT"} AS IDENTITY (SEQUENCE NAME ${name}${options})`,
          note: "the sequence's position is carried at cutover",
        },
        ...(comment === undefined ? [] : [{ sql: `COMMENT ON SEQUENCE ${name} IS ${literal(comment)}` }]),
        ...revokeDefaults(`SEQUENCE ${name}`, source.defaultSequenceGrantees ?? [], source.owner),
        ...(info?.grants ?? [])
          .filter((grant) => grant.grantee !== source.owner)
          .map((grant) => ({
            sql: `GRANT ${grant.privilege} ON SEQUENCE ${name} TO ${grantee(grant)}${option(grant)}`,
          })),
      ];
    });
}

/**
 * Statistics targets and n_distinct. A target set on the parent reaches leaves that exist, not later ones, so it is
 * set on each leaf too; n_distinct of the whole table is n_distinct_inherited on a partitioned one, and means
 * nothing for a leaf.
 */
function columnSettings(columns: readonly ColumnInfo[], table: string, isParent: boolean): Statement[] {
  return columns.flatMap((column) => {
    const alter = `ALTER TABLE ${table} ALTER COLUMN ${ident(column.name)}`;
    const statements: Statement[] = [];
    if (column.statistics !== null && column.statistics >= 0)
      statements.push({ sql: `${alter} SET STATISTICS ${column.statistics}` });
    if (isParent && column.options.length > 0)
      statements.push({ sql: `${alter} SET (${optionList(inherited(column.options))})` });
    return statements;
  });
}

function inherited(options: readonly string[]): string[] {
  const own = options.find((option) => option.startsWith("n_distinct="));
  if (own === undefined || options.some((option) => option.startsWith("n_distinct_inherited=")))
    return [...options];
  return [...options, own.replace("n_distinct=", "n_distinct_inherited=")];
}

function ownership(plan: Facts, table: string): Statement[] {
  const { owner, rights } = plan.source;
  return owner === rights.role ? [] : [{ sql: `ALTER TABLE ${table} OWNER TO ${ident(owner)}` }];
}

/**
 * The source's rights and no others: what ALTER DEFAULT PRIVILEGES gave is taken away first. Without an explicit
 * list (relacl NULL) the owner alone has rights, as on the source.
 */
function grants(plan: Facts): Statement[] {
  const { source } = plan;
  const table = shadowOf(plan);
  const given = source.grants ?? [];
  const statements = revokeDefaults(`TABLE ${table}`, source.defaultGrantees, source.owner);
  if (source.grants !== null)
    statements.push({
      sql: `REVOKE ALL ON TABLE ${table} FROM ${ident(source.owner)}`,
      note: "rights exactly as on the source",
    });
  for (const [key, privileges] of grouped(given))
    statements.push({ sql: `GRANT ${privileges.join(", ")} ON TABLE ${table} TO ${key}` });
  for (const grant of source.columnGrants) {
    if (grant.column === null) continue;
    statements.push({
      sql: `GRANT ${grant.privilege} (${ident(grant.column)}) ON TABLE ${table} TO ${grantee(grant)}${option(grant)}`,
    });
  }
  return statements;
}

/** A leaf is reached through its parent and needs no rights of its own; default privileges would open a side door. */
function revokeDefaults(object: string, grantees: readonly (string | null)[], owner: string): Statement[] {
  const others = grantees.filter((name) => name !== owner);
  if (others.length === 0) return [];
  return [
    {
      sql: `REVOKE ALL ON ${object} FROM ${others.map(role).join(", ")}`,
      note: "takes back default privileges",
    },
  ];
}

/** Privileges by receiver: `"app"` and `"app" WITH GRANT OPTION` apart. */
function grouped(given: readonly GrantInfo[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const grant of given) {
    const key = `${grantee(grant)}${option(grant)}`;
    groups.set(key, [...new Set([...(groups.get(key) ?? []), grant.privilege])]);
  }
  return groups;
}

function comments(plan: Facts): Statement[] {
  const { comment } = plan.source;
  return comment === null ? [] : [{ sql: `COMMENT ON TABLE ${shadowOf(plan)} IS ${literal(comment)}` }];
}

function grantee(grant: GrantInfo): string {
  return role(grant.grantee);
}

function role(name: string | null): string {
  return name === null ? "PUBLIC" : ident(name);
}

function option(grant: GrantInfo): string {
  return grant.grantable ? " WITH GRANT OPTION" : "";
}

function shadowOf(plan: Facts): string {
  return qualified(plan.names.schema, plan.names.shadow);
}

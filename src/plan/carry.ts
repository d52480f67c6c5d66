/**
 * What goes over with the name (DESIGN 3.6, 3.7): foreign keys, triggers, policies, views, functions, publications and
 * statistics leave the side that will lag and stand on the side that gets the name. Inside the lock, after the
 * renames, so that every definition means the same table as before. One rule for cutover and rollback: what the live
 * side has at that moment, the other side gets.
 */
import { TABLE } from "../catalog/attached.js";
import type { Attached, ForeignKeyInfo, IncomingKeyInfo, PolicyInfo, TriggerInfo } from "../catalog/types.js";
import { ident, identList, literal, qualified } from "../pg/quote.js";
import { optionList } from "./indexes.js";
import { shorten } from "./names.js";
import type { Leaf, Plan, Statement } from "./types.js";

/** NOT VALID on a partitioned table's foreign key, and foreign keys of leaves through their root: since 18. */
export const ROOT_NOT_VALID = 180_000;

export const NOTHING: Attached = {
  foreignKeys: [],
  incomingKeys: [],
  triggers: [],
  policies: [],
  views: [],
  functions: [],
  publications: [],
  statistics: [],
};

export interface Carry {
  /** Tables, quoted, that are altered beside the two: locked before the live side. */
  tables: string[];
  /** Statements that lock views likewise and change nothing. */
  views: string[];
  inside: Statement[];
}

export interface CarryFrom {
  live: Attached;
  lagging: Attached;
  /** Quoted and qualified. */
  leaves: readonly string[];
  /** Foreign keys of other tables that a rollback brings back although they were given up. */
  returning: readonly IncomingKeyInfo[];
}

/** The statements of one direction. Names are those after the renames. */
export function carry(plan: Plan, direction: "forward" | "reverse", from: CarryFrom): Carry {
  const { names, source } = plan;
  const side: Side = {
    plan,
    direction,
    name: qualified(names.schema, names.source),
    left: qualified(names.schema, direction === "forward" ? names.retired : names.failed),
    leaves: from.leaves,
    wholeTree: source.serverVersion >= ROOT_NOT_VALID,
  };
  const { live, lagging } = from;
  const incoming = incomingKeys(side, live, from.returning);
  return {
    tables: unique([
      ...live.foreignKeys.map((key) => key.parent),
      ...incoming.tables,
      ...live.policies.filter((policy) => !policy.own).map((policy) => policy.table),
    ]),
    views: live.views.map(lockView),
    inside: [
      ...live.foreignKeys.flatMap((key) => dropForeignKey(side, key)),
      ...incoming.drop,
      ...triggers(side, live.triggers, lagging.triggers),
      ...policies(side, live.policies, lagging.policies),
      ...(direction === "forward" ? notValidChecks(side) : []),
      ...live.foreignKeys.flatMap((key) => addForeignKey(side, key)),
      ...incoming.add,
      ...live.views.map(view),
      ...live.functions.map((routine) => ({ sql: routine.definition.trimEnd() })),
      ...live.publications.flatMap((publication) => publish(side, publication)),
      ...statisticsNames(side, live, lagging),
    ],
  };
}

interface Side {
  plan: Plan;
  direction: "forward" | "reverse";
  /** The table that has the application's name now. */
  name: string;
  /** The one that had it. */
  left: string;
  leaves: readonly string[];
  wholeTree: boolean;
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)];
}

function dropForeignKey({ left }: Side, key: ForeignKeyInfo): Statement[] {
  const holders = [...(key.onRoot ? [left] : []), ...key.leaves];
  return holders.map((table) => ({
    sql: `ALTER TABLE ${table} DROP CONSTRAINT ${ident(key.name)}`,
    note: "no foreign key on the side that lags: a stale row would block the application's delete of its parent",
  }));
}

/** Every write is checked from the first moment; the rows that are there already are checked after the lock. */
function addForeignKey(side: Side, key: ForeignKeyInfo): Statement[] {
  const toRoot = side.direction === "reverse" || side.wholeTree;
  const tables = toRoot ? [side.name] : side.leaves;
  return [
    ...tables.map((table) => ({
      sql: `ALTER TABLE ${table} ADD CONSTRAINT ${ident(key.name)} ${key.definition} NOT VALID`,
      note: toRoot ? "validated after the lock" : "validated and attached to the parent after the lock",
    })),
    ...(toRoot ? commentOnConstraint(side.name, key.name, key.comment) : []),
  ];
}

/** COMMENT ON CONSTRAINT, where there is one. */
export function commentOnConstraint(table: string, name: string, comment: string | null): Statement[] {
  if (comment === null) return [];
  return [{ sql: `COMMENT ON CONSTRAINT ${ident(name)} ON ${table} IS ${literal(comment)}` }];
}

/**
 * Foreign keys of other tables: given up or pointed at the new table, as the operator chose; back again on rollback.
 * A child that is itself partitioned takes no NOT VALID before 18: it gets its constraint back after the lock.
 */
function incomingKeys(
  side: Side,
  live: Attached,
  returning: readonly IncomingKeyInfo[],
): { tables: string[]; drop: Statement[]; add: Statement[] } {
  const { plan, left } = side;
  const pointing = live.incomingKeys.map((key) => ({ ...key, child: key.self ? left : key.child }));
  const back = returning.map((key) => ({ ...key, child: key.self ? side.name : key.child }));
  const adding = plan.request.incomingFk === "repoint" ? live.incomingKeys : back;
  const now = adding.filter((key) => key.childKind !== "p" || side.wholeTree);
  return {
    tables: unique([...pointing, ...now].map((key) => key.child)).filter(
      (table) => table !== left && table !== side.name,
    ),
    drop: pointing.map((key) => ({
      sql: `ALTER TABLE ${key.child} DROP CONSTRAINT ${ident(key.name)}`,
      note: "it references the table that no longer has the name",
    })),
    add: now.flatMap((key) => [
      {
        sql: `ALTER TABLE ${key.child} ADD CONSTRAINT ${ident(key.name)} ${key.definition} NOT VALID`,
        note: "validated after the lock",
      },
      ...commentOnConstraint(key.child, key.name, key.comment),
    ]),
  };
}

const ENABLE: Record<TriggerInfo["enabled"], string> = {
  O: "ENABLE TRIGGER",
  D: "DISABLE TRIGGER",
  R: "ENABLE REPLICA TRIGGER",
  A: "ENABLE ALWAYS TRIGGER",
};

/** On the retired table they are switched off, so that a rollback has them as they were; the failed one loses them. */
function triggers(side: Side, live: readonly TriggerInfo[], lagging: readonly TriggerInfo[]): Statement[] {
  const { name, left, direction } = side;
  const away = live.map(({ name: trigger }) => ({
    sql:
      direction === "forward"
        ? `ALTER TABLE ${left} DISABLE TRIGGER ${ident(trigger)}`
        : `DROP TRIGGER ${ident(trigger)} ON ${left}`,
    note: "Partway's own writes must not fire it",
  }));
  const same = (trigger: TriggerInfo) =>
    lagging.some((other) => other.name === trigger.name && other.definition === trigger.definition);
  const stale = lagging.filter(
    (other) => !live.some((trigger) => trigger.name === other.name && same(trigger)),
  );
  return [
    ...away,
    ...stale.map((trigger) => ({ sql: `DROP TRIGGER ${ident(trigger.name)} ON ${name}` })),
    ...live.flatMap((trigger) => {
      const state = { sql: `ALTER TABLE ${name} ${ENABLE[trigger.enabled]} ${ident(trigger.name)}` };
      if (same(trigger)) return [state];
      return [
        { sql: trigger.definition.replace(TABLE, () => name) },
        ...(trigger.enabled === "O" ? [] : [state]),
        ...(trigger.comment === null
          ? []
          : [{ sql: `COMMENT ON TRIGGER ${ident(trigger.name)} ON ${name} IS ${literal(trigger.comment)}` }]),
      ];
    }),
  ];
}

function expressions(policy: PolicyInfo): string {
  const using = policy.using === null ? "" : ` USING (${policy.using})`;
  return policy.check === null ? using : `${using} WITH CHECK (${policy.check})`;
}

function policyText(policy: PolicyInfo): string {
  const kind = policy.permissive ? "PERMISSIVE" : "RESTRICTIVE";
  return `AS ${kind} FOR ${policy.command} TO ${policy.roles.join(", ")}${expressions(policy)}`;
}

/** Its own policies stand on both tables; another table's that read this one are made to read the new one. */
function policies({ name }: Side, live: readonly PolicyInfo[], lagging: readonly PolicyInfo[]): Statement[] {
  const key = (policy: PolicyInfo) => `${policy.name} ${policyText(policy)}`;
  const [own, there] = [live.filter((p) => p.own), lagging.filter((p) => p.own)];
  const kept = new Set(own.map(key).filter((one) => there.some((policy) => key(policy) === one)));
  return [
    ...there
      .filter((policy) => !kept.has(key(policy)))
      .map((policy) => ({ sql: `DROP POLICY ${ident(policy.name)} ON ${name}` })),
    ...own
      .filter((policy) => !kept.has(key(policy)))
      .flatMap((policy) => [
        { sql: `CREATE POLICY ${ident(policy.name)} ON ${name} ${policyText(policy)}` },
        ...(policy.comment === null
          ? []
          : [{ sql: `COMMENT ON POLICY ${ident(policy.name)} ON ${name} IS ${literal(policy.comment)}` }]),
      ]),
    ...live
      .filter((policy) => !policy.own)
      .map((policy) => ({
        sql: `ALTER POLICY ${ident(policy.name)} ON ${policy.table}${expressions(policy)}`,
        note: "read again by name",
      })),
  ];
}

/** Rows that break it are there, so the copy cannot have it; new rows are checked from cutover on, as before. */
function notValidChecks({ plan, name }: Side): Statement[] {
  return plan.source.checks
    .filter((check) => !check.validated && !check.definition.endsWith(" NOT ENFORCED"))
    .flatMap((check) => [
      { sql: `ALTER TABLE ${name} ADD CONSTRAINT ${ident(check.name)} ${check.definition}` },
      ...commentOnConstraint(name, check.name, check.comment ?? null),
    ]);
}

/** Takes ACCESS EXCLUSIVE: sets what is set already, in the same order, or takes back what is not set. */
function lockView({ name, options }: Attached["views"][number]): string {
  return options === null || options.length === 0
    ? `ALTER VIEW ${name} RESET (security_barrier)`
    : `ALTER VIEW ${name} SET (${optionList(options)})`;
}

/** OR REPLACE keeps the view's rights, comments, triggers and whatever reads it; options have to be said again. */
function view({ name, definition, options }: Attached["views"][number]): Statement {
  const withOptions = options === null || options.length === 0 ? "" : ` WITH (${optionList(options)})`;
  return {
    sql: `CREATE OR REPLACE VIEW ${name}${withOptions} AS ${definition.trimEnd().replace(/;$/, "")}`,
    note: "read again by name",
  };
}

function publish({ name, left }: Side, publication: Attached["publications"][number]): Statement[] {
  const columns = publication.columns === null ? "" : ` (${identList(publication.columns)})`;
  const where = publication.where === null ? "" : ` WHERE (${publication.where})`;
  const to = ident(publication.name);
  return [
    { sql: `ALTER PUBLICATION ${to} DROP TABLE ${left}` },
    {
      sql: `ALTER PUBLICATION ${to} ADD TABLE ${name}${columns}${where}`,
      note: "publish_via_partition_root: subscribers go on seeing one table",
    },
  ];
}

/** Name of the new table's extended statistics until cutover. */
export function shadowStatistics(plan: Pick<Plan, "id">, name: string): string {
  return `${shorten(name, 40)}_${plan.id.slice(-6)}_new`;
}

function retiredStatistics(plan: Pick<Plan, "id">, name: string): string {
  return `${shorten(name, 40)}_${plan.id.slice(-6)}_old`;
}

/** Exchanged like the indexes' names: what each side has, under the name of its side. */
function statisticsNames({ plan, direction }: Side, live: Attached, lagging: Attached): Statement[] {
  const rename = (schema: string, from: string, to: string) => ({
    sql: `ALTER STATISTICS ${qualified(schema, from)} RENAME TO ${ident(to)}`,
  });
  const planned = plan.source.attached?.statistics ?? [];
  return planned.flatMap(({ schema, name }) => {
    const has = (side: Attached, called: string) =>
      side.statistics.some((one) => one.schema === schema && one.name === called);
    const [gone, comes] =
      direction === "forward"
        ? [retiredStatistics(plan, name), shadowStatistics(plan, name)]
        : [shadowStatistics(plan, name), retiredStatistics(plan, name)];
    return [
      ...(has(live, name) ? [rename(schema, name, gone)] : []),
      ...(direction === "forward" || has(lagging, comes) ? [rename(schema, comes, name)] : []),
    ];
  });
}

/** Extended statistics on the shadow, and on each leaf, also one that is made late. `table` is quoted. */
export function statisticsDdl(
  plan: Pick<Plan, "id" | "source">,
  table: string,
  leaf: Pick<Leaf, "name"> | null,
): Statement[] {
  return (plan.source.attached?.statistics ?? []).flatMap((one) => {
    const tag = plan.id.slice(-6);
    const called =
      leaf === null ? shadowStatistics(plan, one.name) : shorten(`${leaf.name}_${one.name}_${tag}`, 63);
    const name = qualified(one.schema, called);
    const owned = plan.source.owner === plan.source.rights.role;
    return [
      { sql: `CREATE STATISTICS ${name}${one.tail} FROM ${table}` },
      ...(one.target === null ? [] : [{ sql: `ALTER STATISTICS ${name} SET STATISTICS ${one.target}` }]),
      ...(leaf !== null || one.comment === null
        ? []
        : [{ sql: `COMMENT ON STATISTICS ${name} IS ${literal(one.comment)}` }]),
      ...(owned ? [] : [{ sql: `ALTER STATISTICS ${name} OWNER TO ${ident(plan.source.owner)}` }]),
    ];
  });
}

/**
 * Replica identity does not reach the leaves by itself, and changes are logged leaf by leaf. FULL and NOTHING; an
 * index's follows when the index is there.
 */
export function replicaIdentityDdl(identity: string, table: string): Statement[] {
  const word = { f: "FULL", n: "NOTHING" }[identity];
  return word === undefined ? [] : [{ sql: `ALTER TABLE ${table} REPLICA IDENTITY ${word}` }];
}

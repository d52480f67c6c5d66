/**
 * The catalog comparison of `partway diff`: everything a table can have as facts by name, the source's against the
 * table's that stands for it. What must differ, because the new table is partitioned, is told apart with its reason.
 * Pure.
 */
import type { ColumnInfo, GrantInfo, IndexInfo, TableInfo } from "../catalog/types.js";
import { shadowStatistics } from "./carry.js";
import type { Plan } from "./types.js";

/** `shadow`: before cutover; `new`: the partitioned table under its name; `source`: the old table again. */
export type Stage = "shadow" | "new" | "source";

export interface Disparity {
  /** What it is about: `column note`, `index orders_pkey`. */
  fact: string;
  /** null: not there. */
  before: string | null;
  now: string | null;
  /** Why it has to be so; null: nothing explains it. */
  reason: string | null;
}

export interface Likeness {
  facts: number;
  expected: Disparity[];
  unexpected: Disparity[];
}

export interface Candidate {
  table: TableInfo;
  /**
   * Access method and storage parameters of its leaves, one entry for each set that occurs; null for a table without leaves. TOAST's are
   * null for leaves that need no TOAST table.
   */
  leafOptions: { accessMethod: string; options: string[]; toastOptions: string[] | null }[] | null;
}

type Facts = Map<string, string>;

const TOAST = "storage parameters of TOAST";

/** Compares the source as the plan found it with `candidate`. */
export function likeness(plan: Plan, candidate: Candidate, stage: Stage): Likeness {
  const before = factsOf(plan.source, (name) => name);
  const now = factsOf(withLeaves(candidate), stage === "shadow" ? finalNames(plan) : (name) => name);
  if (candidate.leafOptions?.every(({ toastOptions }) => toastOptions === null) === true) now.delete(TOAST);
  const found = [...new Set([...before.keys(), ...now.keys()])].sort().flatMap((fact): Disparity[] => {
    const [was, is] = [before.get(fact) ?? null, now.get(fact) ?? null];
    return was === is ? [] : [{ fact, before: was, now: is, reason: reasonFor(plan, stage, fact, was, is) }];
  });
  return {
    facts: before.size,
    expected: found.filter((one) => one.reason !== null),
    unexpected: found.filter((one) => one.reason === null),
  };
}

/** The rows' storage is the leaves' affair: access method and parameters stand on them. */
function withLeaves({ table, leafOptions }: Candidate): TableInfo {
  const [first, ...others] = leafOptions ?? [];
  if (first === undefined) return table;
  return others.length === 0
    ? { ...table, ...first, toastOptions: first.toastOptions ?? [] }
    : { ...table, options: ["leaves differ"], toastOptions: ["leaves differ"] };
}

/** Before cutover the shadow's indexes, sequences and statistics have names of their own. */
function finalNames(plan: Plan): (name: string) => string {
  const names = new Map([
    ...plan.indexes.map((index) => [index.shadowName, index.finalName] as const),
    ...plan.sequences.map((sequence) => [sequence.shadowName, sequence.name] as const),
    ...(plan.source.attached?.statistics ?? []).map(
      (one) => [shadowStatistics(plan, one.name), one.name] as const,
    ),
  ]);
  return (name) => names.get(name) ?? name;
}

function factsOf(table: TableInfo, named: (name: string) => string): Facts {
  const { attached } = table;
  const facts: Facts = new Map();
  const say = (fact: string, ...parts: unknown[]) =>
    facts.set(fact, readAgain(parts.map(text).filter(Boolean).join(" ")));
  table.columns.forEach((column, at) => {
    say(`column ${column.name}`, `number ${at + 1}`, columnText(column), comment(column.comment));
  });
  for (const column of table.columns) {
    say(`not null of ${column.name}`, column.notNull, column.notNullName);
    say(`options of column ${column.name}`, column.options.toSorted());
  }
  for (const check of table.checks) say(`check ${check.name}`, check.definition, comment(check.comment));
  for (const index of table.indexes) {
    say(
      `index ${named(index.name)}`,
      indexText(index),
      comment(index.comment),
      comment(index.constraint?.comment),
    );
    say(`cluster mark on ${named(index.name)}`, index.clustered);
  }
  for (const one of table.sequences) {
    say(
      `sequence of ${one.column}`,
      one.kind,
      one.schema,
      named(one.name),
      one.definition,
      comment(one.comment),
    );
    for (const grant of one.grants) say(`grant on the sequence of ${one.column}: ${grantText(grant)}`, true);
  }
  for (const grant of [...(table.grants ?? []), ...table.columnGrants])
    say(`grant ${grantText(grant)}`, `by ${grant.grantor}`);
  say("owner", table.owner);
  say("storage parameters", table.options.toSorted());
  say(TOAST, table.toastOptions.toSorted());
  say("tablespace", table.tablespace);
  say("access method", table.accessMethod ?? "heap");
  say("replica identity", table.replicaIdentity);
  say("row security", table.rowSecurity, table.forceRowSecurity);
  say("comment", comment(table.comment));
  for (const key of attached?.foreignKeys ?? [])
    say(
      `foreign key ${key.name}`,
      key.definition,
      key.validated && key.onRoot ? "" : "not validated",
      comment(key.comment),
    );
  for (const key of attached?.incomingKeys ?? [])
    say(
      `foreign key ${key.name} on ${key.child}`,
      key.definition,
      key.validated ? "" : "not validated",
      comment(key.comment),
    );
  for (const trigger of attached?.triggers ?? [])
    say(`trigger ${trigger.name}`, trigger.definition, trigger.enabled, comment(trigger.comment));
  for (const { name, table: on, own, ...rest } of attached?.policies ?? [])
    say(own ? `policy ${name}` : `policy ${name} on ${on}`, JSON.stringify(rest));
  for (const view of attached?.views ?? []) say(`view ${view.name}`, view.definition, view.options);
  for (const routine of attached?.functions ?? []) say(`function ${routine.name}`, routine.definition);
  for (const one of attached?.publications ?? []) say(`publication ${one.name}`, one.columns, one.where);
  for (const one of attached?.statistics ?? [])
    say(`statistics ${one.schema}.${named(one.name)}`, one.tail, one.target, comment(one.comment));
  return facts;
}

function text(part: unknown): string {
  return part === null || part === undefined ? "" : typeof part === "string" ? part : JSON.stringify(part);
}

const VARCHAR = "E?'(?:[^']|'')*'::character varying";
const CAST_LIST = new RegExp(String.raw`\(ARRAY\[(${VARCHAR}(?:, ${VARCHAR})*)\]\)::text\[\]`, "g");

/**
 * `varchar IN ('a', 'b')` is written with one cast around the list; what is made from that text casts each value. The
 * planner takes them for the same, and pg_dump changes them so as well.
 */
function readAgain(definition: string): string {
  return definition.replaceAll(CAST_LIST, (_, list: string) => {
    const values = list.replaceAll(new RegExp(VARCHAR, "g"), (value) => `(${value})::text`);
    return `ARRAY[${values}]`;
  });
}

function comment(value: string | null | undefined): string {
  return value === null || value === undefined ? "" : `-- ${value}`;
}

function columnText(column: ColumnInfo): string {
  const {
    type,
    collation,
    default: expression,
    identity,
    generated,
    statistics,
    storage,
    compression,
  } = column;
  return JSON.stringify({
    type,
    collation,
    expression,
    identity,
    generated,
    statistics,
    storage,
    compression,
  });
}

function indexText(index: IndexInfo): string {
  const { unique, primary, valid, tail, constraint, tablespace, replicaIdentity } = index;
  const { kind, deferrable, definition } = constraint ?? {};
  return JSON.stringify({
    unique,
    primary,
    valid,
    tail,
    kind,
    deferrable,
    definition,
    tablespace,
    replicaIdentity,
  });
}

function grantText({ privilege, column, grantee, grantable }: GrantInfo): string {
  const on = column === null ? "" : ` (${column})`;
  return `${privilege}${on} to ${grantee ?? "PUBLIC"}${grantable ? " with grant option" : ""}`;
}

/** What comes with the name only. */
const WITH_THE_NAME = /^(foreign key|trigger|policy|view|function|publication) /;

/** What reads the table or points at it from elsewhere: another one of these takes nothing from it. */
const ELSEWHERE = /^((view|function|publication) |foreign key .* on )/;

function reasonFor(
  plan: Plan,
  stage: Stage,
  fact: string,
  before: string | null,
  now: string | null,
): string | null {
  if (stage !== "shadow" && before === null && ELSEWHERE.test(fact)) return "made since the plan";
  if (stage === "source") return null;
  if (stage === "shadow" && now === null) {
    if (WITH_THE_NAME.test(fact)) return "goes over at cutover";
    if (plan.sequences.some((one) => one.kind === "serial" && fact === `sequence of ${one.column}`))
      return "a serial sequence changes its owner at cutover";
    if (plan.source.checks.some((check) => !check.validated && fact === `check ${check.name}`))
      return "NOT VALID: comes back at cutover";
  }
  if (fact === TOAST && now === null) return "its leaves need no TOAST table";
  const keys = plan.indexes.filter((index) => {
    const source = plan.source.indexes.find((one) => one.name === index.finalName);
    return (index.isPair || source?.primary === true) && fact === `index ${index.finalName}`;
  });
  if (keys.length > 0 && now !== null)
    return "a unique index of a partitioned table contains the partition column";
  const pair = [...plan.key, ...plan.partitionBy].map((column) => column.name);
  if (pair.some((column) => fact === `not null of ${column}`) && before?.startsWith("false") === true)
    return "columns of the key cannot be NULL";
  if (fact.startsWith("options of column ") && now?.includes("n_distinct_inherited=") === true)
    return "n_distinct of the whole table is n_distinct_inherited on a partitioned one";
  if (fact.startsWith("cluster mark on ") && now === "false")
    return "a partitioned table has no cluster mark";
  // An absent list of rights means the owner's alone; taking default privileges back writes them out.
  const { grants, owner } = plan.source;
  if (grants === null && before === null && fact.startsWith("grant ") && fact.endsWith(` to ${owner}`))
    return "the owner's own rights, written out";
  if (fact.startsWith("grant ") && before !== null && now !== null)
    return "recorded as given by the owner; the right is the same";
  const given = plan.source.attached?.incomingKeys.some(
    (key) => fact === `foreign key ${key.name} on ${key.child}`,
  );
  if (given === true && now === null && plan.request.incomingFk === "drop")
    return "given up, as --incoming-fk drop says; a rollback brings it back";
  return null;
}

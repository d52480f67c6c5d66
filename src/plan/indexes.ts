/** What becomes of each index of the source: the key is extended by the partition column, the others are carried. */
import type { IndexInfo, TableInfo } from "../catalog/types.js";
import { ident, identList, literal } from "../pg/quote.js";
import { leafIndexName } from "./names.js";
import type { ColumnRef, IndexPlan, Leaf } from "./types.js";

/**
 * One IndexPlan for each index, the pair's first, then unique ones (DESIGN 3.3: unique first), then the rest.
 * `claim` gives free names in the schema; it must have been told the leaves' names already. `reserved`: every other
 * name that was claimed.
 */
export function planIndexes(
  table: TableInfo,
  keyIndexName: string,
  partitionBy: readonly ColumnRef[],
  leaves: readonly Leaf[],
  claim: (name: string) => string,
  reserved: readonly string[],
): IndexPlan[] {
  const partition = partitionBy.map((column) => column.name);
  const rank = (index: IndexInfo) =>
    index.name === keyIndexName ? 0 : index.primary ? 1 : index.unique ? 2 : 3;
  const ordered = table.indexes
    .filter((index) => index.constraint?.kind !== "x")
    .toSorted((a, b) => rank(a) - rank(b));
  const named = ordered.map((index) => ({
    index,
    shadowName: claim(`${index.name}_partitioned`),
    retiredName: claim(`${index.name}_retired`),
  }));
  const taken = new Set([
    ...table.namesInSchema,
    ...reserved,
    ...leaves.map((leaf) => leaf.name),
    ...named.flatMap(({ shadowName, retiredName }) => [shadowName, retiredName]),
  ]);
  return named.map(({ index, shadowName, retiredName }) => {
    const isPair = index.name === keyIndexName;
    return {
      finalName: index.name,
      shadowName,
      retiredName,
      unique: index.unique,
      isPair,
      build: isPair || index.primary ? extended(index, partition) : carried(index),
      leafSuffix: suffixFor(table, index, leaves, taken),
      comment: index.comment,
      ...(index.replicaIdentity === true ? { isReplicaIdentity: true as const } : {}),
      ...(index.constraint?.comment === undefined ? {} : { constraintComment: index.constraint.comment }),
    };
  });
}

/** The key's index with the partition columns behind it: unique by pair. */
function extended(index: IndexInfo, partition: readonly string[]): IndexPlan["build"] {
  const key = index.columns.filter((name) => name !== null);
  const columns = [...key, ...partition.filter((name) => !key.includes(name))];
  return build(
    index,
    columns,
    index.include.filter((name) => !columns.includes(name)),
  );
}

/** As it is. A constraint is written out, because pg_get_constraintdef leaves the storage parameters away. */
function carried(index: IndexInfo): IndexPlan["build"] {
  const columns = index.columns.filter((name) => name !== null);
  return index.constraint === null
    ? { kind: "index", tail: `${index.tail}${space(index, " TABLESPACE")}` }
    : build(index, columns, index.include);
}

function build(index: IndexInfo, columns: string[], include: string[]): IndexPlan["build"] {
  const included = include.length === 0 ? "" : ` INCLUDE (${identList(include)})`;
  const nulls = index.nullsNotDistinct ? " NULLS NOT DISTINCT" : "";
  const options = storage(index.options);
  const using = space(index, " USING INDEX TABLESPACE");
  if (index.primary)
    return {
      kind: "constraint",
      definition: `PRIMARY KEY (${identList(columns)})${included}${options}${using}`,
    };
  if (index.constraint !== null)
    return {
      kind: "constraint",
      definition: `UNIQUE${nulls} (${identList(columns)})${included}${options}${using}`,
    };
  const tail = ` USING btree (${identList(columns)})${included}${nulls}${options}${space(index, " TABLESPACE")}`;
  return { kind: "index", tail };
}

function space(index: IndexInfo, words: string): string {
  return index.tablespace === null ? "" : `${words} ${ident(index.tablespace)}`;
}

/** ` WITH ("fillfactor"='70')` of `["fillfactor=70"]`; empty for none. */
function storage(options: readonly string[]): string {
  const settings = optionList(options);
  return settings === "" ? "" : ` WITH (${settings})`;
}

/** `"fillfactor"='70'`, comma-separated; `prefix` is e.g. `"toast".`. */
export function optionList(options: readonly string[], prefix = ""): string {
  return options
    .map((option) => {
      const at = option.indexOf("=");
      return `${prefix}${identList([option.slice(0, at)])}=${literal(option.slice(at + 1))}`;
    })
    .join(", ");
}

/** A suffix under which every leaf's index name is free; reserves those names in `taken`. */
function suffixFor(table: TableInfo, index: IndexInfo, leaves: readonly Leaf[], taken: Set<string>): string {
  const prefix = `${table.name}_`;
  const base =
    index.name.startsWith(prefix) && index.name !== prefix ? index.name.slice(prefix.length) : index.name;
  for (let generation = 1; ; generation++) {
    const leafSuffix = generation === 1 ? base : `${base}_${generation}`;
    const names = leaves.map((leaf) => leafIndexName(leaf, { leafSuffix }));
    if (new Set(names).size < names.length || names.some((name) => taken.has(name))) continue;
    for (const name of names) taken.add(name);
    return leafSuffix;
  }
}

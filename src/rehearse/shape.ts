/** What a statement is and does with the table, as far as the tree alone tells. Pure. */
import { columnRef, everywhere, type Fields, innermost, isFields, listOf, node, textOf } from "./tree.js";

/** A parameter compared with a column (by `=`, `<`, ...), stored into one (`set`), or put where rows are counted. */
export interface ParamUse {
  number: number;
  column: string | null;
  op: string;
}

export interface Shape {
  kind: "select" | "insert" | "update" | "delete" | "merge" | "copy" | "truncate" | "other";
  /** Only reads: no change anywhere in it, no row locks. */
  isReadOnly: boolean;
  only: boolean;
  /** `COPY t TO`, not `COPY (SELECT ...) TO`. */
  copyTo: boolean;
  /** What ON CONFLICT looks at; null without. */
  conflict: Conflict | null;
  /** System columns an INSERT or a MERGE returns. */
  returnsSystem: string[];
  /** Aliases of the table that stand as one value in the result. */
  wholeRow: string[];
  params: ParamUse[];
  /** How conditions speak of the partition column: compared as it is, or only inside an expression. */
  partition: "compared" | "wrapped" | "absent";
}

/** Columns an index is inferred from, a constraint by name, or whatever index there is. */
export type Conflict =
  | { on: "columns"; columns: string[] }
  | { on: "constraint"; name: string }
  | { on: "anything" };

const KINDS: Readonly<Record<string, Shape["kind"]>> = {
  SelectStmt: "select",
  InsertStmt: "insert",
  UpdateStmt: "update",
  DeleteStmt: "delete",
  MergeStmt: "merge",
  CopyStmt: "copy",
  TruncateStmt: "truncate",
};
/** They belong to the row's header: a row that went through the parent has none to show. */
const SYSTEM = new Set(["xmin", "xmax", "cmin", "cmax"]);

/**
 * `mentioned`: where the table stands (aim.ts). `columns`: the table's. `partitionColumn`: the one it is cut by.
 * `others`: what other tables are called; a column of theirs may have the same name.
 */
export function shapeOf(
  tree: Fields,
  mentioned: readonly Fields[],
  columns: readonly string[],
  partitionColumn: string,
  others: readonly string[] = [],
): Shape {
  const { kind: name, fields } = innermost(tree);
  const kind = KINDS[name] ?? "other";
  const aliases = mentioned.map(aliasOf);
  return {
    kind,
    isReadOnly: kind === "select" && !changes(tree),
    only: mentioned.some((range) => range["inh"] !== true),
    copyTo: kind === "copy" && fields["is_from"] !== true && isFields(fields["relation"]),
    conflict: conflictOf(fields),
    returnsSystem:
      kind === "insert" || kind === "merge"
        ? systemColumns(fields["returningClause"] ?? fields["returningList"])
        : [],
    wholeRow: wholeRows(fields, aliases, columns),
    params: paramsOf(fields, columns),
    partition: partitionUse(fields, partitionColumn, others),
  };
}

/** What a statement calls a table at this place. */
export function aliasOf(range: Fields): string {
  const alias = isFields(range["alias"]) ? textOf(range["alias"]["aliasname"]) : null;
  return alias ?? textOf(range["relname"]) ?? "";
}

function changes(tree: Fields): boolean {
  let found = false;
  everywhere(tree, (fields) => {
    const locks = fields["lockingClause"] !== undefined || fields["intoClause"] !== undefined;
    const writes = ["InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"].some((kind) => kind in fields);
    if (locks || writes) found = true;
  });
  return found;
}

function conflictOf(fields: Fields): Conflict | null {
  const clause = fields["onConflictClause"];
  if (!isFields(clause)) return null;
  const infer = isFields(clause["infer"]) ? clause["infer"] : {};
  const name = textOf(infer["conname"]);
  if (name !== null) return { on: "constraint", name };
  const elements = listOf(infer["indexElems"]);
  if (elements.length === 0) return { on: "anything" };
  const columns = elements.map((one) => textOf(node(one, "IndexElem")?.["name"]) ?? "(an expression)");
  return { on: "columns", columns };
}

function systemColumns(returning: unknown): string[] {
  const found = new Set<string>();
  everywhere(returning, (fields) => {
    const name = columnRef(fields)?.parts.at(-1);
    if (name !== undefined && SYSTEM.has(name)) found.add(name);
  });
  return [...found];
}

function wholeRows(fields: Fields, aliases: readonly string[], columns: readonly string[]): string[] {
  const returning = fields["returningClause"];
  const targets = isFields(returning) ? returning["exprs"] : fields["targetList"];
  if (!isFields(returning) && fields["fromClause"] === undefined) return [];
  return listOf(targets).flatMap((one) => {
    const parts = columnRef(node(one, "ResTarget")?.["val"])?.parts ?? [];
    const [name] = parts;
    const isRow = parts.length === 1 && name !== undefined && aliases.includes(name);
    return isRow && !columns.includes(name) ? [name] : [];
  });
}

const FLIPPED: Readonly<Record<string, string>> = { "<": ">", ">": "<", "<=": ">=", ">=": "<=" };

function paramsOf(fields: Fields, columns: readonly string[]): ParamUse[] {
  const uses: ParamUse[] = [];
  const use = (value: unknown, column: string | null, op: string): void => {
    for (const number of numbersIn(value)) uses.push({ number, column, op });
  };
  everywhere(fields, (one) => {
    for (const key of ["limitCount", "limitOffset"]) use(one[key], null, key);
    const target = node(one, "ResTarget");
    if (target !== null) use(target["val"], textOf(target["name"]), "set");
    const compared = node(one, "A_Expr");
    if (compared !== null) comparisons(compared, use);
  });
  return [...uses, ...inserted(fields, columns)];
}

function comparisons(expr: Fields, use: (value: unknown, column: string, op: string) => void): void {
  const { lexpr, rexpr, kind } = expr;
  const op = textOf(node(listOf(expr["name"])[0], "String")?.["sval"]) ?? "=";
  const left = listOf(node(lexpr, "RowExpr")?.["args"] ?? [lexpr]);
  const right = listOf(node(rexpr, "RowExpr")?.["args"] ?? [rexpr]);
  if (kind === "AEXPR_BETWEEN") {
    const column = lastPart(lexpr);
    const [from, to] = listOf(node(rexpr, "List")?.["items"]);
    if (column !== null) use(from, column, ">=");
    if (column !== null) use(to, column, "<=");
    return;
  }
  const many = kind === "AEXPR_OP_ANY" || kind === "AEXPR_IN" ? "any" : op;
  for (const [at, a] of left.entries()) {
    const b = right[at];
    const [inLeft, inRight] = [lastPart(a), lastPart(b)];
    if (inLeft !== null) use(b, inLeft, many);
    else if (inRight !== null) use(a, inRight, FLIPPED[op] ?? op);
  }
}

/** The parameters of INSERT ... VALUES go into the columns in order. */
function inserted(fields: Fields, columns: readonly string[]): ParamUse[] {
  const named = listOf(fields["cols"]).map((one) => textOf(node(one, "ResTarget")?.["name"]));
  const into = named.length > 0 ? named : columns;
  return listOf(node(fields["selectStmt"], "SelectStmt")?.["valuesLists"]).flatMap((row) =>
    listOf(node(row, "List")?.["items"]).flatMap((value, at) =>
      numbersIn(value).map((number) => ({ number, column: into[at] ?? null, op: "set" })),
    ),
  );
}

/** The column's name, also where it is cast to a type of the same order. */
function lastPart(value: unknown): string | null {
  return columnRef(value)?.parts.at(-1) ?? null;
}

/** The parameters that ARE the value (or its elements), behind casts; not those somewhere inside a calculation. */
function numbersIn(value: unknown): number[] {
  const param = node(value, "ParamRef");
  if (param !== null) return typeof param["number"] === "number" ? [param["number"]] : [];
  const cast = node(value, "TypeCast");
  if (cast !== null) return numbersIn(cast["arg"]);
  const elements = node(value, "List")?.["items"] ?? node(value, "A_ArrayExpr")?.["elements"];
  return listOf(elements).flatMap(numbersIn);
}

function partitionUse(fields: Fields, column: string, others: readonly string[]): Shape["partition"] {
  let found: Shape["partition"] = "absent";
  const isColumn = (value: unknown) => {
    const parts = columnRef(value)?.parts ?? [];
    return parts.at(-1) === column && !others.includes(parts.at(-2) ?? "");
  };
  const inConditions = (value: unknown) =>
    everywhere(value, (one) => {
      if (isColumn(one) && found === "absent") found = "wrapped";
      const expr = node(one, "A_Expr");
      const sides = expr === null ? [node(one, "NullTest")?.["arg"]] : [expr["lexpr"], expr["rexpr"]];
      const rows = sides.flatMap((side) => listOf(node(side, "RowExpr")?.["args"] ?? [side]));
      if (rows.some(isColumn) && isComparison(expr)) found = "compared";
    });
  everywhere(fields, (one) => {
    for (const key of ["whereClause", "quals", "joinCondition"]) inConditions(one[key]);
    // JOIN ... USING (created_at)
    if (listOf(one["usingClause"]).some((name) => node(name, "String")?.["sval"] === column))
      found = "compared";
  });
  return found;
}

function isComparison(expr: Fields | null): boolean {
  if (expr === null) return true;
  const op = textOf(node(listOf(expr["name"])[0], "String")?.["sval"]) ?? "";
  return ["=", "<", ">", "<=", ">=", "BETWEEN", "IN"].includes(op);
}

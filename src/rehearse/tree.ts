/** Reading libpg-query's trees: plain objects whose nodes are `{ Kind: {...} }`, or bare where only one kind can be. */

export type Fields = Record<string, unknown>;

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

export function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

/** The fields of a node of this kind, or null. */
export function node(value: unknown, kind: string): Fields | null {
  const found = isFields(value) ? value[kind] : undefined;
  return isFields(found) ? found : null;
}

/** The statement itself: what PREPARE, DECLARE and EXPLAIN wrap is looked at instead. */
export function innermost(tree: Fields): { kind: string; fields: Fields } {
  const [kind, fields] = Object.entries(tree)[0] ?? ["", {}];
  const inner = isFields(fields) ? fields["query"] : undefined;
  if ((kind === "PrepareStmt" || kind === "DeclareCursorStmt" || kind === "ExplainStmt") && isFields(inner))
    return innermost(inner);
  return { kind, fields: isFields(fields) ? fields : {} };
}

/** The name's parts of a ColumnRef (`*` as "*"), and where it stands; null for anything else. */
export function columnRef(value: unknown): { parts: string[]; at: number } | null {
  const found = node(value, "ColumnRef");
  if (found === null) return null;
  const parts = listOf(found["fields"]).map((field) => textOf(node(field, "String")?.["sval"]) ?? "*");
  return { parts, at: offset(found) };
}

/** libpg-query leaves a zero out. */
export function offset(fields: Fields): number {
  return typeof fields["location"] === "number" ? fields["location"] : 0;
}

/** Calls `see` with every object in the tree, outermost first. */
export function everywhere(value: unknown, see: (fields: Fields) => void): void {
  if (Array.isArray(value)) for (const one of value) everywhere(one, see);
  else if (isFields(value)) {
    see(value);
    for (const one of Object.values(value)) everywhere(one, see);
  }
}

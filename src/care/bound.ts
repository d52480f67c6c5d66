/** A leaf's bound as pg_get_expr(relpartbound) prints it with TimeZone UTC. Pure; names are never read. */

/** One end of a range, one text a key column; `MINVALUE` and `MAXVALUE` are told apart from the text of that name. */
export type BoundValue = { kind: "value"; text: string } | { kind: "min" } | { kind: "max" };

export type Bound =
  | { kind: "range"; from: BoundValue[]; to: BoundValue[] }
  | { kind: "list" }
  | { kind: "hash" }
  | { kind: "default" };

/** Reads the text of a bound. Throws for what no PostgreSQL prints. */
export function parseBound(text: string): Bound {
  if (text === "DEFAULT") return { kind: "default" };
  if (text.startsWith("FOR VALUES IN (")) return { kind: "list" };
  if (text.startsWith("FOR VALUES WITH (")) return { kind: "hash" };
  const range = /^FOR VALUES FROM \((.*)\) TO \((.*)\)$/s.exec(text);
  if (range === null) throw new Error(`not a partition bound: ${text}`);
  // A quoted value may hold ") TO (": only the split whose two halves both read is the right one.
  for (let at = text.indexOf(") TO ("); at >= 0; at = text.indexOf(") TO (", at + 1)) {
    const from = values(text.slice("FOR VALUES FROM (".length, at));
    const to = values(text.slice(at + ") TO (".length, -1));
    if (from !== null && to !== null) return { kind: "range", from, to };
  }
  throw new Error(`not a partition bound: ${text}`);
}

const VALUE = /^\s*(?:(MINVALUE)|(MAXVALUE)|'((?:[^']|'')*)'|([^',\s]+))\s*(,|$)/;

function values(list: string): BoundValue[] | null {
  const found: BoundValue[] = [];
  for (let rest = list; ; ) {
    const match = VALUE.exec(rest);
    if (match === null) return null;
    const [whole, least, most, quoted, bare] = match;
    if (least !== undefined) found.push({ kind: "min" });
    else if (most !== undefined) found.push({ kind: "max" });
    else found.push({ kind: "value", text: quoted?.replaceAll("''", "'") ?? bare ?? "" });
    if (match[5] !== ",") return found;
    rest = rest.slice(whole.length);
  }
}

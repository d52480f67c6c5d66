/** The one quoter. Nothing else in Partway turns a name or a value into SQL text. */

/** An identifier, always quoted: `Odd"Name` becomes `"Odd""Name"`. */
export function ident(name: string): string {
  if (name.includes("\0")) throw new Error("an identifier cannot contain a NUL character");
  return `"${name.replaceAll('"', '""')}"`;
}

/** `schema.name`, both quoted. */
export function qualified(schema: string, name: string): string {
  return `${ident(schema)}.${ident(name)}`;
}

/**
 * A string literal for DDL, where parameters are not allowed (bounds, comments, settings). Everywhere else values
 * are parameters. Uses E'' when there is a backslash, so standard_conforming_strings does not matter.
 */
export function literal(value: string): string {
  if (value.includes("\0")) throw new Error("a literal cannot contain a NUL character");
  const quoted = value.replaceAll("'", "''");
  return quoted.includes("\\") ? `E'${quoted.replaceAll("\\", "\\\\")}'` : `'${quoted}'`;
}

/** A comma-separated list of quoted identifiers. */
export function identList(names: readonly string[]): string {
  return names.map(ident).join(", ");
}

/** A key or partition column whose type brings its own operators. */
import { ident } from "../../pg/quote.js";
import { type Check, nameOf } from "./check.js";

/**
 * The capture trigger and every session look for operators in pg_catalog alone. An extension's type has none there:
 * the trigger would fail, and with it the application's writes (ltree), or text's are taken while DISTINCT takes the
 * type's own, and a key that changes only in case is lost (citext). Arrays and composites compare by their elements.
 */
export const extensionTypes: Check = ({ table, column, key }) => {
  const names = new Set([...(key?.columns ?? []), column?.name ?? null]);
  return table.columns
    .filter((c) => names.has(c.name) && c.typeKind === "b" && c.typeCategory !== "A")
    .filter((c) => !c.baseType.startsWith("pg_catalog."))
    .map((c) => ({
      code: "key-of-extension-type",
      what: `column ${c.name} of the key is of type ${c.type}, which is not built in`,
      why: "Partway compares keys with the built-in operators only, whatever the search_path is.",
      remedy: `Choose another unique index with --key, or another column with --by; or give it a built-in type (this rewrites the table): ALTER TABLE ${nameOf(table)} ALTER COLUMN ${ident(c.name)} TYPE text;`,
    }));
};

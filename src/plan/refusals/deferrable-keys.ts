/** Deferrable unique constraints: their rows may be double inside a transaction, which the pair cannot follow. */
import { ident, identList } from "../../pg/quote.js";
import { type Check, nameOf } from "./check.js";

export const deferrableKeys: Check = ({ table }) =>
  table.indexes
    .filter((index) => index.constraint?.deferrable === true && index.constraint.kind !== "x")
    .map((index) => {
      const name = ident(index.constraint?.name ?? index.name);
      const columns = identList(index.columns.filter((column) => column !== null));
      const definition =
        index.constraint?.definition ?? `${index.primary ? "PRIMARY KEY" : "UNIQUE"} (${columns})`;
      return {
        code: "deferrable-key",
        what: `constraint ${index.constraint?.name ?? index.name} is deferrable`,
        why: "Two rows may have one key until commit; Partway identifies rows by key and carries constraints as immediate.",
        remedy: `ALTER TABLE ${nameOf(table)} DROP CONSTRAINT ${name}, ADD CONSTRAINT ${name} ${definition.replace(/ DEFERRABLE( INITIALLY DEFERRED)?$/, "")} NOT DEFERRABLE;`,
      };
    });

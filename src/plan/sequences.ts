/** The source's sequences: a serial one is shared until cutover, an identity column gets its own (types.ts). */
import type { TableInfo } from "../catalog/types.js";
import type { Names, SequencePlan } from "./types.js";

/** `claim` gives free names in the source's schema; an identity sequence lives there too. */
export function planSequences(
  table: TableInfo,
  names: Names,
  claim: (name: string) => string,
): SequencePlan[] {
  return table.sequences.map(({ column, kind, schema, name }) =>
    kind === "serial"
      ? { column, kind, schema, name, shadowName: name, retiredName: name }
      : {
          column,
          kind,
          schema,
          name,
          shadowName: claim(`${names.shadow}_${column}_seq`),
          retiredName: claim(`${names.retired}_${column}_seq`),
        },
  );
}

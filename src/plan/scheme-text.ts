/** How a table is cut, in words that every text uses. Pure. */
import type { Scheme } from "./types.js";

/** `RANGE (created_at), one leaf a month, bounds in UTC`. */
export function schemeText(scheme: Scheme): string {
  switch (scheme.kind) {
    case "range-time":
      return `RANGE (${scheme.column}), one leaf a ${scheme.every}, bounds in UTC`;
    case "range-int":
      return `RANGE (${scheme.column}), ${scheme.step} values a leaf`;
    case "hash":
      return `HASH (${scheme.column}), ${scheme.modulus} leaves`;
    case "list":
      return `LIST (${scheme.column})`;
  }
}

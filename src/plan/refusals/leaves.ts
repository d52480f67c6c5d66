/** Too many leaves, or a leaf that ends beyond its type: found while the bounds are laid out. */
import { layOut } from "../bounds.js";
import type { Check } from "./check.js";

export const leaves: Check = ({ column, request, survey }) => {
  if (column === null) return [];
  const { refusal } = layOut(request, column, survey);
  return refusal === null ? [] : [refusal];
};

/** Rows whose value is in no list leaf. */
import { canonical } from "../columns.js";
import { hasFallback } from "../fallback.js";
import type { Check } from "./check.js";

/** The survey reads at most 1001 values; more than this many are not a list. */
const MOST = 1000;

export const listValues: Check = ({ column, request, survey }) => {
  const { scheme } = request;
  if (column === null || scheme.kind !== "list" || hasFallback(request)) return [];
  if (survey.distinct.length > MOST)
    return [
      {
        code: "too-many-list-values",
        what: `column ${column.name} has more than ${MOST} different values`,
        why: "A list leaf holds one value.",
        remedy: `Choose --hash 8 --by ${column.name}, or another column, or leave those not listed in a DEFAULT leaf: --null-keys default-leaf`,
      },
    ];
  const listed = new Set(scheme.values.map((value) => canonical(value, column)));
  const outside = survey.distinct.filter((value) => !listed.has(canonical(value, column)));
  if (outside.length === 0) return [];
  const all = [...scheme.values, ...outside].map((value) =>
    /[",]|^\s|\s$|^$/.test(value) ? `"${value.replaceAll('"', '""')}"` : value,
  );
  return [
    {
      code: "values-outside-list",
      what: `rows have a ${column.name} that is not in --list: ${outside.slice(0, 10).join(", ")}${outside.length > 10 ? ` and ${outside.length - 10} more` : ""}`,
      why: "There would be no leaf for them.",
      remedy: `--list '${all.join(",").replaceAll("'", "'\\''")}'; or keep them in a DEFAULT leaf: --null-keys default-leaf`,
    },
  ];
};

/** Leaves of an hour on a column that knows days only. */
import type { Check } from "./check.js";

export const hourOnDate: Check = ({ column, request }) => {
  const { scheme } = request;
  if (scheme.kind !== "range-time" || scheme.every !== "hour" || column?.baseType !== "pg_catalog.date")
    return [];
  return [
    {
      code: "hour-on-date",
      what: `column ${column.name} is a date and cannot be cut into hours`,
      why: "All rows of a day have one value, and the bounds of its 24 leaves would be the same.",
      remedy: "Choose --every day, or a longer interval.",
    },
  ];
};

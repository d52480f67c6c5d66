/** A partition column whose type does not fit the scheme. */
import type { ColumnInfo } from "../../catalog/types.js";
import { isInteger, isTime } from "../columns.js";
import type { Refusal, Scheme } from "../types.js";
import type { Check } from "./check.js";

export const columnType: Check = ({ table, column, request }) => {
  if (column === null) return [];
  const problem = fault(column, request.scheme, table.columns);
  return problem === null ? [] : [problem];
};

function fault(column: ColumnInfo, scheme: Scheme, columns: ColumnInfo[]): Refusal | null {
  const unsuitable = (why: string, remedy: string): Refusal => ({
    code: "unsuitable-column-type",
    what: `column ${column.name} is of type ${column.type}, which ${FLAG[scheme.kind]} cannot use`,
    why,
    remedy,
  });
  switch (scheme.kind) {
    case "range-time":
      if (isTime(column)) return null;
      return unsuitable(
        "Leaves of a time interval need a date, timestamp or timestamptz.",
        isInteger(column)
          ? "Cut by number instead: --step 1000000."
          : choose(columns.filter(isTime), "--every"),
      );
    case "range-int":
      if (isInteger(column)) return null;
      return unsuitable(
        "Leaves of a number range need smallint, integer or bigint: their bounds are exact and there is no NaN.",
        isTime(column) ? "Cut by time instead: --every month." : choose(columns.filter(isInteger), "--step"),
      );
    case "hash":
      if (column.hasHash) return null;
      return unsuitable(
        "The type has no default hash operator class.",
        choose(
          columns.filter((c) => c.hasHash),
          "--hash",
        ),
      );
    case "list":
      if (!column.hasBtree)
        return unsuitable(
          "The type has no default btree operator class.",
          choose(
            columns.filter((c) => c.hasBtree && c.equalIsIdentical),
            "--list",
          ),
        );
      if (column.equalIsIdentical) return null;
      return unsuitable(
        "Values of it can be equal without being written alike, so it cannot be told from the text which leaf they need.",
        choose(
          columns.filter((c) => c.hasBtree && c.equalIsIdentical),
          "--list",
        ),
      );
  }
}

const FLAG: Record<Scheme["kind"], string> = {
  "range-time": "--every",
  "range-int": "--step",
  hash: "--hash",
  list: "--list",
};

function choose(fitting: ColumnInfo[], option: string): string {
  const names = fitting.filter((column) => column.generated === null).map((column) => column.name);
  return names.length === 0
    ? `No column of this table fits ${option}; choose another way: --every, --step, --hash or --list.`
    : `Choose another column with --by: ${names.join(", ")}.`;
}

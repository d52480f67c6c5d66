/** Only an ordinary table can be migrated. */
import { type Check, nameOf } from "./check.js";

const KINDS: Record<string, { is: string; remedy: string }> = {
  p: { is: "already partitioned", remedy: "Nothing is to be done; name a table that is not partitioned." },
  v: { is: "a view", remedy: "Name the table that the view reads." },
  m: { is: "a materialized view", remedy: "Name the table that the materialized view reads." },
  f: { is: "a foreign table", remedy: "Connect to the server that holds the data and migrate it there." },
  S: { is: "a sequence", remedy: "Name a table." },
  i: { is: "an index", remedy: "Name the table that the index is on." },
  c: { is: "a composite type", remedy: "Name a table." },
};

export const ordinaryTable: Check = ({ table }) => {
  if (table.kind === "r") return [];
  const kind = KINDS[table.kind] ?? { is: `of kind "${table.kind}"`, remedy: "Name an ordinary table." };
  return [
    {
      code: "not-an-ordinary-table",
      what: `${nameOf(table)} is ${kind.is}`,
      why: "Partway copies the rows of an ordinary table and swaps its name.",
      remedy: kind.remedy,
    },
  ];
};

/** A table without a usable key, or a key that was named and is not usable. */
import { ident } from "../../pg/quote.js";
import { keyFaults } from "../key.js";
import type { Refusal } from "../types.js";
import { type Check, type CheckInput, nameOf } from "./check.js";

export const noKey: Check = (input) => {
  if (input.key !== null) return [];
  // A deferrable primary key has a refusal of its own (deferrable-keys.ts), and one statement mends it.
  const primary = input.table.indexes.find((index) => index.primary);
  if (input.request.keyIndex === null && primary?.constraint?.deferrable === true) return [];
  return input.request.keyIndex === null
    ? [nothingUsable(input)]
    : [namedUnusable(input, input.request.keyIndex)];
};

function nothingUsable({ table }: CheckInput): Refusal {
  const primary = table.indexes.find((index) => index.primary);
  if (primary !== undefined)
    return {
      code: "key-unusable",
      what: `the primary key ${primary.name} cannot serve as key: it ${keyFaults(table, primary).join(", it ")}`,
      why: WHY,
      remedy: `Repair it: REINDEX INDEX CONCURRENTLY ${ident(table.schema)}.${ident(primary.name)};`,
    };
  const almost = table.indexes
    .filter((index) => index.unique)
    .map((index) => `${index.name} ${keyFaults(table, index).join(", ")}`);
  const candidate = table.columns.find(
    (column) => column.notNull && column.hasBtree && column.generated === null,
  );
  return {
    code: "no-key",
    what: `${nameOf(table)} has no primary key and no usable unique index${almost.length === 0 ? "" : ` (${almost.join("; ")})`}`,
    why: WHY,
    remedy: `Add one on columns that identify a row, for example: CREATE UNIQUE INDEX CONCURRENTLY ${ident(`${table.name}_key`)} ON ${nameOf(table)} (${ident(candidate?.name ?? "id")}); its columns must be NOT NULL.`,
  };
}

function namedUnusable({ table }: CheckInput, name: string): Refusal {
  const index = table.indexes.find((candidate) => candidate.name === name);
  const usable = table.indexes
    .filter((candidate) => keyFaults(table, candidate).length === 0)
    .map((i) => i.name);
  const choice =
    usable.length === 0
      ? "Add a unique index on NOT NULL columns and name it"
      : `Name one of ${usable.join(", ")}`;
  return {
    code: index === undefined ? "no-such-key" : "key-unusable",
    what:
      index === undefined
        ? `${nameOf(table)} has no index ${name}`
        : `index ${name} cannot serve as key: it ${keyFaults(table, index).join(", it ")}`,
    why: WHY,
    remedy: `${choice} with --key, or leave --key out to use the primary key.`,
  };
}

const WHY =
  "Changes are recorded and compared by key, so every row must have one that is unique and never NULL.";

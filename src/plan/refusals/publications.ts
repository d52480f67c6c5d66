/** Publications that cannot follow, or would publish the shadow. */
import { ident, qualified } from "../../pg/quote.js";
import type { Refusal } from "../types.js";
import { type Check, dependents, nameOf, shown } from "./check.js";

export const publications: Check = ({ table, column, key }) => [
  ...dependents(table, "publication")
    .filter((publication) => publication.detail !== "for the table")
    .map((publication) => ({
      code: "publication",
      what: `publication ${shown(publication)} publishes ${nameOf(table)}`,
      why: "It would publish the shadow while it is filled, and subscribers stop on an unknown relation.",
      remedy: leave(publication.name, publication.detail, nameOf(table)),
    })),
  ...(table.attached?.publications ?? []).flatMap((publication): Refusal[] => {
    const name = ident(publication.name);
    if (!publication.viaRoot)
      return [
        {
          code: "publication-not-via-root",
          what: `publication ${publication.name} publishes ${nameOf(table)}, and leaves under their own names`,
          why: "Subscribers would get changes of leaves they do not know, and stop.",
          remedy: `ALTER PUBLICATION ${name} SET (publish_via_partition_root = true);  -- changes nothing for tables that are not partitioned`,
        },
      ];
    const identity = [...(key?.columns ?? []), column?.name ?? null];
    const lacking = identity.filter(
      (one) => one !== null && publication.columns !== null && !publication.columns.includes(one),
    );
    if (lacking.length === 0) return [];
    const columns = [...(publication.columns ?? []), ...lacking].map((one) => ident(one ?? "")).join(", ");
    return [
      {
        code: "publication-without-key",
        what: `publication ${publication.name} leaves out ${lacking.join(", ")}, which will be part of the key`,
        why: "PostgreSQL refuses an UPDATE or DELETE of a published table whose key is not published (42P10).",
        remedy: `ALTER PUBLICATION ${name} DROP TABLE ${nameOf(table)}; ALTER PUBLICATION ${name} ADD TABLE ${qualified(table.schema, table.name)} (${columns});`,
      },
    ];
  }),
];

/** The details are those of catalog/dependents.ts: `for all tables`, `for tables in schema "s"`. */
function leave(name: string, detail: string, table: string): string {
  const schema = /^for tables in schema (.+)$/.exec(detail)?.[1];
  return schema === undefined
    ? `DROP PUBLICATION ${ident(name)};  -- and create it again with a list of tables`
    : `ALTER PUBLICATION ${ident(name)} DROP TABLES IN SCHEMA ${schema};  -- and add its tables by name, ${table} too`;
}

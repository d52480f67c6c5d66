/**
 * Whether a leaf is still called what it was when its way out began. Statements name tables, and a name may be another
 * table's by now: the OID says which one is meant.
 */
import { z } from "zod";
import { PartwayError } from "../errors.js";
import { ident, literal } from "../pg/quote.js";
import type { DetachableLeaf } from "./detach.js";
import { CARE_SQL } from "./store.js";
import { type CareTable, shownName } from "./table.js";
import type { CareWork } from "./work.js";

const Called = z.object({ schema: z.string(), name: z.string(), attached: z.enum(["true", "false"]) });

/**
 * Errors: `refused` where the leaf was renamed, moved to another schema or dropped since; names both and the way back.
 * `archive`: what is proven of it already.
 */
export async function assertCalled(
  { session }: Pick<CareWork, "session">,
  table: CareTable,
  leaf: DetachableLeaf,
  archive: string | null = null,
): Promise<void> {
  const now = await session.maybe(Called, CARE_SQL.called, [leaf.oid]);
  if (now !== null && now.schema === leaf.schema && now.name === leaf.name) return;
  const was = shownName(leaf);
  const proven = archive === null ? "" : ` Its archive is proven: ${archive}.`;
  if (now === null)
    throw new PartwayError("refused", {
      what: `the leaf ${was} of ${shownName(table)} was dropped by somebody else on its way out`,
      state: `Nothing else was dropped.${proven}`,
      next: "The same command again goes on with what is there.",
    });
  const isAttached = now.attached === "true";
  const back = [
    ...(now.name === leaf.name ? [] : [`ALTER TABLE ${shownName(now)} RENAME TO ${ident(leaf.name)};`]),
    ...(now.schema === leaf.schema
      ? []
      : [`ALTER TABLE ${ident(now.schema)}.${ident(leaf.name)} SET SCHEMA ${ident(leaf.schema)};`]),
  ].join(" ");
  throw new PartwayError("refused", {
    what: `the leaf ${was} of ${shownName(table)} is called ${shownName(now)} by now: it was renamed on its way out`,
    state: `It and its rows are there, ${isAttached ? "attached as before" : "as a table of its own"}; nothing was dropped.${proven}`,
    next: isAttached
      ? `The same command again takes it by its new name (partway archive: --leaf ${literal(now.name)}).`
      : `${back} Then the same command again. If it is to stay, or is another table: ${forgetSql(leaf.oid)}`,
  });
}

/** What has the leaf's table be nobody's business of the care any more. */
function forgetSql(oid: string): string {
  const leaf = literal(oid);
  return `DELETE FROM partway.partition_leaving WHERE leaf = ${leaf}; DELETE FROM partway.partition_archive WHERE leaf = ${leaf} AND dropped_at IS NULL;`;
}

/** Which of the configuration file's `partitions` a table's is. */
import type { PartitionPolicy } from "../config/schema.js";
import { parseTableName } from "../config/table-name.js";

/**
 * The entry with the table's schema, or else the one without: that stands for schema public, and for wherever the name
 * was found when it was `typed` without a schema, too.
 */
export function entryFor(
  file: Record<string, PartitionPolicy>,
  typed: string,
  table: { schema: string; name: string },
): PartitionPolicy {
  const named = Object.entries(file).map(([key, policy]) => ({ ...parseTableName(key), policy }));
  const mine = named.filter(({ name }) => name === table.name);
  const isAnywhere = parseTableName(typed).schema === null || table.schema === "public";
  const found =
    mine.find(({ schema }) => schema === table.schema) ??
    mine.find(({ schema }) => schema === null && isAnywhere);
  return found?.policy ?? {};
}

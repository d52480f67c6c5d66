/** The tables of a configuration file in the order in which they are migrated. Pure: every mistake before a server is asked. */
import type { Config, TableConfig } from "../config/schema.js";
import { sameTable } from "../config/table-name.js";
import { badInput } from "../errors.js";

/** What the file says of one table's turn. */
export interface TableEntry {
  /** As the file writes it. */
  name: string;
  /** A larger one goes first; a table waits for every table of a larger one. */
  tier: number;
  /** The tier as the file writes it. */
  tierName: string;
  /** Tables that must be migrated before, by the names under which the file lists them. */
  after: readonly string[];
  /** Tables of one tier with the same value may run side by side; false: always alone; null: not said. */
  together: string | boolean | null;
}

export interface Order {
  /** In order: tiers, then `after`, then as the file lists them. */
  tables: readonly TableEntry[];
  /** How many tables run at once at most; null: not said. */
  parallel: number | null;
}

const TIERS = { critical: 4, high: 3, medium: 2, low: 1 } as const;

/**
 * The order that `config` asks for. `file` is named in errors. Errors: bad-input when no table is listed, `after` names
 * a table that is not or one twice, or tables wait for each other.
 */
export function orderOf(config: Config, file: string | null): Order {
  const entries = Object.entries(config.tables).map(([name, table]) => ({ name, table }));
  if (file === null || entries.length === 0)
    throw badInput(
      file === null ? "there is no configuration file, which lists the tables" : `${file} lists no tables`,
      "List them under tables in partway.config.json (README.md, Several tables), or name one: partway run <table>.",
    );
  const names = entries.map(({ name }) => name);
  const tables = entries.map(({ name, table }) => entryOf(file, names, name, table));
  for (const entry of tables) checkTiers(file, entry, tables);
  return { tables: sorted(file, tables), parallel: config.parallel ?? null };
}

/** May the two run at the same time, were nothing else to be waited for? */
export function mayRunTogether(a: TableEntry, b: TableEntry, parallel: number | null): boolean {
  if (a.tier !== b.tier || a.together === false || a.together !== b.together) return false;
  return a.together !== null || (parallel ?? 1) > 1;
}

function entryOf(file: string, names: readonly string[], name: string, table: TableConfig): TableEntry {
  const { priority = "medium", together = null } = table;
  const after: string[] = [];
  for (const wanted of table.after ?? []) {
    const found = names.find((other) => sameTable(other, wanted));
    if (found === undefined)
      throw badInput(
        `${file}: tables.${name}.after: ${wanted} is not one of the tables`,
        `Name one of ${names.join(", ")}, or add it under tables.`,
      );
    if (after.includes(found))
      throw badInput(`${file}: tables.${name}.after names ${found} twice`, "Name it once.");
    after.push(found);
  }
  const tier = typeof priority === "number" ? priority : TIERS[priority];
  return { name, tier, tierName: String(priority), after, together };
}

/** A table whose predecessor is of a lower tier would wait for it, and it for the table's own tier. */
function checkTiers(file: string, entry: TableEntry, tables: readonly TableEntry[]): void {
  const lower = tables.find((other) => entry.after.includes(other.name) && other.tier < entry.tier);
  if (lower === undefined) return;
  throw badInput(
    `${file}: tables.${entry.name} (${entry.tierName}) comes after ${lower.name} (${lower.tierName}), which waits for the higher tier: neither could begin`,
    `Give ${lower.name} the priority of ${entry.name} or a higher one.`,
  );
}

/** Again and again the first table, by tier and as listed, whose predecessors are all placed. */
function sorted(file: string, tables: readonly TableEntry[]): TableEntry[] {
  const left = tables.toSorted((a, b) => b.tier - a.tier);
  const placed: TableEntry[] = [];
  while (left.length > 0) {
    const at = left.findIndex(({ after }) => after.every((name) => placed.some((p) => p.name === name)));
    const [next] = at < 0 ? [] : left.splice(at, 1);
    if (next === undefined) throw cycle(file, left);
    placed.push(next);
  }
  return placed;
}

/** Each of `left` waits for another of them, so following `after` comes back to where it was. */
function cycle(file: string, left: readonly TableEntry[]): Error {
  const path: string[] = [];
  let at = left[0];
  while (at !== undefined && !path.includes(at.name)) {
    path.push(at.name);
    const { after } = at;
    at = left.find(({ name }) => after.includes(name));
  }
  const round = [...path.slice(path.indexOf(at?.name ?? "")), at?.name ?? ""];
  return badInput(
    `${file}: tables wait for each other: ${round.join(" after ")}`,
    `Take one of them out of after, for example in tables.${round[0]}.`,
  );
}

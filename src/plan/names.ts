/** Every name that Partway makes: at most 63 bytes, unique, and never one that is taken (FEATURES N9, N10). */
import { createHash } from "node:crypto";
import type { TableInfo } from "../catalog/types.js";
import type { IndexPlan, Leaf, Names } from "./types.js";

/** NAMEDATALEN - 1: PostgreSQL cuts longer names off without an error. */
export const NAME_BYTES = 63;

/**
 * `name`, shortened to 63 bytes where it is longer (a hash of the whole keeps it apart from its neighbours), and
 * with `_2`, `_3`, ... where `taken` has it already: the leaves of an earlier attempt do not stop the next one.
 */
export function freeName(name: string, taken: ReadonlySet<string>): string {
  const short = shorten(name, NAME_BYTES);
  if (!taken.has(short)) return short;
  for (let generation = 2; ; generation++) {
    const suffix = `_${generation}`;
    const candidate = shorten(name, NAME_BYTES - suffix.length) + suffix;
    if (!taken.has(candidate)) return candidate;
  }
}

/** `freeName`, remembering what it gave out. */
export function namer(taken: Iterable<string>): (name: string) => string {
  const used = new Set(taken);
  return (name) => {
    const given = freeName(name, used);
    used.add(given);
    return given;
  };
}

/**
 * Name of one leaf's part of an index (for a constraint, of the constraint). Depends on nothing but its arguments;
 * `IndexPlan.leafSuffix` was chosen so that these names are free and unique over the plan.
 */
export function leafIndexName(leaf: Pick<Leaf, "name">, index: Pick<IndexPlan, "leafSuffix">): string {
  return shorten(`${leaf.name}_${index.leafSuffix}`, NAME_BYTES);
}

/** The names all phases use. `claim` gives free names in the source's schema. */
export function makeNames(table: TableInfo, id: string, claim: (name: string) => string): Names {
  return {
    schema: table.schema,
    source: table.name,
    shadow: claim(`${table.name}_partitioned`),
    retired: claim(`${table.name}_retired`),
    failed: claim(`${table.name}_partitioned_failed`),
    forwardLog: `fwd_log_${id}`,
    reverseLog: `rev_log_${id}`,
    forwardFunction: `fwd_capture_${id}`,
    reverseFunction: `rev_capture_${id}`,
    forwardTrigger: `partway_fwd_${id}`,
    reverseTrigger: `partway_rev_${id}`,
    forwardTruncateTrigger: `partway_fwd_trunc_${id}`,
    reverseTruncateTrigger: `partway_rev_trunc_${id}`,
  };
}

/**
 * A migration's id: the table's name in [a-z0-9_] and `random` (hexadecimal digits from the caller, at least six),
 * e.g. `orders_3f9a1c`; at most 40 characters, so that every name made from it fits. `table` may be as typed.
 */
export function newMigrationId(table: string, random: string): string {
  const tail = random
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, "")
    .slice(0, 12);
  if (tail.length < 6) throw new Error("a migration id needs at least six random characters");
  const last = /(?:"((?:[^"]|"")+)"|([^".]+))\s*$/.exec(table.trim());
  const slug = (last?.[1] ?? last?.[2] ?? "")
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "_")
    .replaceAll(/^_+|_+$/g, "")
    .slice(0, 40 - 1 - tail.length)
    .replace(/_+$/, "");
  return `${slug === "" ? "table" : slug}_${tail}`;
}

/** At most `bytes` bytes of UTF-8, cut between characters, with eight hexadecimal digits of a hash of the whole. */
export function shorten(name: string, bytes: number): string {
  if (Buffer.byteLength(name) <= bytes) return name;
  const hash = createHash("sha256").update(name).digest("hex").slice(0, 8);
  let kept = "";
  for (const character of name) {
    if (Buffer.byteLength(kept) + Buffer.byteLength(character) > bytes - hash.length - 1) break;
    kept += character;
  }
  return `${kept}_${hash}`;
}

/** Rows per leaf, from the sample. */
import type { ColumnInfo } from "../catalog/types.js";
import { boundsKey, pieceFor } from "./bounds.js";
import type { LeafBounds, Scheme, Survey } from "./types.js";

/**
 * Estimated rows of each leaf, in order; null where nothing is known. Never throws: a sampled value that no leaf is for
 * counts for DEFAULT, where there is one.
 */
export function estimateRows(
  scheme: Scheme,
  column: ColumnInfo,
  survey: Survey,
  leaves: readonly LeafBounds[],
): (number | null)[] {
  if (survey.rows === 0) return leaves.map(() => 0);
  if (scheme.kind === "hash") return leaves.map(() => Math.round(survey.rows / scheme.modulus));
  const { values } = survey.sample;
  if (values.length === 0) return leaves.map(() => null);
  const rest = boundsKey({ kind: "default" });
  const counts = new Map(leaves.map((bounds) => [boundsKey(bounds), 0]));
  for (const value of values) {
    const piece = pieceFor(scheme, column, value);
    const own = piece === null ? rest : boundsKey(piece.bounds);
    const key = counts.has(own) ? own : rest;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return leaves.map((bounds) =>
    Math.round(((counts.get(boundsKey(bounds)) ?? 0) / values.length) * survey.rows),
  );
}

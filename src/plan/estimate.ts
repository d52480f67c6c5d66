/** Rows per leaf, from the sample. */
import type { ColumnInfo } from "../catalog/types.js";
import { boundsKey, type Piece, pieceFor } from "./bounds.js";
import type { Scheme, Survey } from "./types.js";

/** Estimated rows of each piece, in order; null where nothing is known. Never throws: odd sample values count nowhere. */
export function estimateRows(
  scheme: Scheme,
  column: ColumnInfo,
  survey: Survey,
  pieces: readonly Piece[],
): (number | null)[] {
  if (survey.rows === 0) return pieces.map(() => 0);
  if (scheme.kind === "hash") return pieces.map(() => Math.round(survey.rows / scheme.modulus));
  const { values } = survey.sample;
  if (values.length === 0) return pieces.map(() => null);
  const counts = new Map<string, number>();
  for (const value of values) {
    const key = keyOf(scheme, column, value);
    if (key !== null) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return pieces.map((piece) =>
    Math.round(((counts.get(boundsKey(piece.bounds)) ?? 0) / values.length) * survey.rows),
  );
}

function keyOf(scheme: Scheme, column: ColumnInfo, value: string): string | null {
  const piece = pieceFor(scheme, column, value);
  return piece === null ? null : boundsKey(piece.bounds);
}

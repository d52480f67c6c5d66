/** Near misses for a name that was not found. Pure. */

/** Edits (insert, delete, replace) that turn one name into the other. */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (const [i, left] of [...a].entries()) {
    const current = [i + 1];
    for (const [j, right] of [...b].entries()) {
      const replaced = (previous[j] ?? 0) + (left === right ? 0 : 1);
      current.push(Math.min(replaced, (previous[j + 1] ?? 0) + 1, (current[j] ?? 0) + 1));
    }
    previous = current;
  }
  return previous.at(-1) ?? 0;
}

/**
 * The `limit` candidates whose name (by `nameOf`) is most like `wanted`, best first: same letters in another case,
 * few edits (a third of the length, at least two), or one the beginning of the other. Empty when nothing is near.
 */
export function nearest<T>(
  wanted: string,
  candidates: readonly T[],
  nameOf: (candidate: T) => string,
  limit = 5,
): T[] {
  const target = wanted.toLowerCase();
  const allowed = Math.max(2, Math.floor(target.length / 3));
  return candidates
    .map((candidate) => {
      const name = nameOf(candidate).toLowerCase();
      const edits = Math.abs(name.length - target.length) > allowed ? allowed + 1 : distance(target, name);
      const prefix =
        target.length > 2 && name.length > 2 && (name.startsWith(target) || target.startsWith(name));
      return { candidate, score: edits <= allowed ? edits : prefix ? allowed + 1 : Number.POSITIVE_INFINITY };
    })
    .filter(({ score }) => Number.isFinite(score))
    .sort((a, b) => a.score - b.score)
    .slice(0, limit)
    .map(({ candidate }) => candidate);
}

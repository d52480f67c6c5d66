/** Medians, percentiles and ratios. Pure. */

/** The middle value, or the mean of the two middle ones; null of nothing. */
export function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  return upper === undefined || lower === undefined ? null : (upper + lower) / 2;
}

/** The smallest value that at least the `share` (0 to 1) of `sorted` does not exceed (nearest rank); null of nothing. */
export function percentile(sorted: readonly number[], share: number): number | null {
  // Without the small number 0.99 of 100 is the 100th value: 0.99 * 100 is not 99 in binary.
  const rank = Math.max(1, Math.ceil(share * sorted.length - 1e-9));
  return sorted[rank - 1] ?? null;
}

/** `value / base`; null where either is missing or the base is 0. */
export function ratio(value: number | null | undefined, base: number | null | undefined): number | null {
  return value == null || base == null || base === 0 ? null : value / base;
}

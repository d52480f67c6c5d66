/** Medians and ratios. Pure. */

/** The middle value, or the mean of the two middle ones; null of nothing. */
export function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  return upper === undefined || lower === undefined ? null : (upper + lower) / 2;
}

/** `value / base`; null where either is missing or the base is 0. */
export function ratio(value: number | null | undefined, base: number | null | undefined): number | null {
  return value == null || base == null || base === 0 ? null : value / base;
}

/** Durations as people type them. `m` is minutes; months have no fixed length and are not accepted. */
import { badInput } from "../errors.js";

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 } as const;
const TEN_YEARS = 3650 * SECONDS.d;

/**
 * `24h`, `7d`, `90m`, `1w`, `3600s` in seconds. `option` is the option or configuration key that an error names.
 * Errors: bad-input for anything else, for a number without a unit, and beyond ten years.
 */
export function parseDuration(text: string, option: string): number {
  const match = /^(\d+)(s|m|h|d|w)$/.exec(text.trim());
  const unit = match?.[2];
  if (match?.[1] === undefined || !isUnit(unit))
    throw badInput(
      `${option}: "${text}" is not a duration`,
      `Write a whole number and a unit: s seconds, m minutes, h hours, d days, w weeks; for example ${option} 24h.`,
    );
  const seconds = Number(match[1]) * SECONDS[unit];
  if (seconds > TEN_YEARS)
    throw badInput(
      `${option}: "${text}" is more than ten years`,
      `Choose a shorter time, for example ${option} 7d.`,
    );
  return seconds;
}

/** `100ms`, `2s`, `1m` in milliseconds. Errors: bad-input for anything else, and for zero (zero means "for ever" to PostgreSQL). */
export function parseMilliseconds(text: string, option: string): number {
  const match = /^(\d+)(ms|s|m)$/.exec(text.trim());
  const amount = Number(match?.[1] ?? 0) * (match?.[2] === "m" ? 60_000 : match?.[2] === "s" ? 1000 : 1);
  if (amount <= 0 || amount > 3_600_000)
    throw badInput(
      `${option}: "${text}" is not a time between 1ms and 60m`,
      `Write a whole number and a unit: ms, s or m; for example ${option} 100ms.`,
    );
  return amount;
}

function isUnit(unit: string | undefined): unit is keyof typeof SECONDS {
  return unit !== undefined && unit in SECONDS;
}

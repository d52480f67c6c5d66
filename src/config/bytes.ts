/** Amounts of bytes as people type them; units are of 1000, as `plan` prints them. */
import { badInput } from "../errors.js";

const UNITS = { "": 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 } as const;

/**
 * `50MB`, `6.72GB`, `1200000` in bytes. `of`: what an error calls them; `such`: its example. Errors: bad-input for anything
 * else, and for zero.
 */
export function parseBytes(text: string, option: string, of: string, such: string): number {
  const match = /^(\d{1,15}(?:\.\d+)?)\s*(kB|MB|GB|TB)?$/.exec(text.trim());
  const unit = (match?.[2] ?? "") as keyof typeof UNITS;
  const value = Math.round(Number(match?.[1] ?? 0) * UNITS[unit]);
  if (value <= 0)
    throw badInput(
      `${option}: "${text}" is no number of ${of}`,
      `Write a number and kB, MB, GB or TB: ${option} ${such}.`,
    );
  return value;
}

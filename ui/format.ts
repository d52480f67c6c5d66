/** How numbers, times and other people's text look on a screen or in a pipe. Pure. */
import prettyBytes from "pretty-bytes";

const COUNT = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** `5,000,000`. */
export function count(n: number): string {
  return COUNT.format(n);
}

/** `1.2 GB`, powers of 1000 as disks are sold and `df -H` prints. */
export function bytes(n: number): string {
  return prettyBytes(Math.max(0, n));
}

/** Milliseconds as two units at most: `0.3s`, `12s`, `4m 10s`, `2h 05m`, `3d 04h`. */
export function duration(ms: number): string {
  if (ms < 9_950) return `${(Math.max(0, ms) / 1000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
  return `${Math.floor(minutes / 1_440)}d ${two(Math.floor(minutes / 60) % 24)}h`;
}

/** Seconds as a countdown reads: whole units, never negative. */
export function countdown(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  return whole < 10 ? `${whole}s` : duration(whole * 1000);
}

/** Short times to the millisecond: `61 ms`, `1.25 s`. */
export function millis(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

/** `85,000 rows/s`, or that it is not known yet. */
export function rate(perSecond: number | null, unit: string): string {
  return perSecond === null ? `${unit}/s: measuring` : `${count(perSecond)} ${unit}/s`;
}

/** `2m 10s left`, or that it is not known yet: an invented estimate is worse than none. */
export function timeLeft(seconds: number | null): string {
  return seconds === null ? "time left: measuring" : `${countdown(seconds)} left`;
}

/** `1 key`, `3 keys`. */
export function plural(n: number, word: string): string {
  return `${count(n)} ${word}${n === 1 ? "" : "s"}`;
}

/** A share as a whole percentage that says 100 only when all is done. */
export function percent(done: number, total: number): string {
  return `${Math.floor(share(done, total) * 100)}%`;
}

/** done / total between 0 and 1; 0 while there is no total. */
export function share(done: number, total: number): number {
  return total > 0 ? Math.min(1, Math.max(0, done / total)) : 0;
}

/** `10:00:05` in UTC, from an ISO time; the text itself where it is none. */
export function timeOfDay(iso: string): string {
  const time = Date.parse(iso);
  return Number.isNaN(time) ? oneLine(iso) : new Date(time).toISOString().slice(11, 19);
}

/** `2026-07-02 10:00 UTC`. */
export function moment(iso: string): string {
  const time = Date.parse(iso);
  if (Number.isNaN(time)) return oneLine(iso);
  return `${new Date(time).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/**
 * Text from a database or a server on one line. Control and format characters go: a query of another session may
 * carry escape sequences, and they must not reach the operator's terminal.
 */
export function oneLine(text: string): string {
  return text
    .replace(/[\s\p{Zl}\p{Zp}]+/gu, " ")
    .replace(/[\p{Cc}\p{Cf}]/gu, "")
    .trim();
}

/** `text` broken between words into lines of at most `width` characters; a longer word is broken where it must be. */
export function wrapWords(text: string, width: number): string[] {
  const room = Math.max(1, width);
  const lines: string[] = [];
  let line = "";
  for (const word of oneLine(text)
    .split(" ")
    .flatMap((long) => pieces(long, room))) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (longer.length <= room) {
      line = longer;
    } else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line];
}

function pieces(word: string, size: number): string[] {
  const parts: string[] = [];
  for (let at = 0; at < word.length; at += size) parts.push(word.slice(at, at + size));
  return parts;
}

function two(n: number): string {
  return String(n).padStart(2, "0");
}

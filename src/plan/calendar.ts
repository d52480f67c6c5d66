/**
 * The proleptic Gregorian calendar in UTC, as PostgreSQL keeps it, counted in whole hours since 1970-01-01 00:00.
 * Own arithmetic, because a JavaScript Date ends in 275760 and keeps milliseconds where PostgreSQL has microseconds.
 */
import type { Interval } from "./types.js";

export interface CalendarDate {
  /** Astronomical: 0 is 1 BC. */
  year: number;
  month: number;
  day: number;
  hour: number;
  /** ISO 8601: week 1 holds the year's first Thursday, weeks start on Monday. */
  isoYear: number;
  isoWeek: number;
}

/** The date that `hours` since the epoch falls on. */
export function calendarOf(hours: number): CalendarDate {
  const days = Math.floor(hours / 24);
  const { year, month, day } = civil(days);
  // The Thursday of a week decides which year the week belongs to; 1970-01-01 was a Thursday.
  const thursday = Math.floor((days + 3) / 7) * 7;
  const isoYear = civil(thursday).year;
  const isoWeek = Math.floor((thursday - daysOf(isoYear, 1, 1)) / 7) + 1;
  return { year, month, day, hour: hours - days * 24, isoYear, isoWeek };
}

/**
 * Hours since the epoch of a date or timestamp as PostgreSQL prints it in UTC (`2026-01-01`,
 * `2026-01-01 12:34:56.789+00`, `0044-03-15 BC`) or of an ISO 8601 text; rounded down. Null for anything else,
 * infinity and other offsets than UTC included.
 */
export function parseHours(text: string): number | null {
  const match =
    /^(\d{4,7})-(\d\d)-(\d\d)(?:[ T](\d\d):\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]00(?::?00)?)?)?( BC)?$/.exec(
      text,
    );
  if (match === null) return null;
  const [, year, month, day, hour, bc] = match;
  const astronomical = bc === undefined ? Number(year) : 1 - Number(year);
  return daysOf(astronomical, Number(month), Number(day)) * 24 + Number(hour ?? 0);
}

/** Which interval holds `hours`: consecutive intervals have consecutive numbers. */
export function intervalOf(hours: number, every: Interval): number {
  const days = Math.floor(hours / 24);
  switch (every) {
    case "hour":
      return hours;
    case "day":
      return days;
    case "week":
      return Math.floor((days + 3) / 7);
    default: {
      const { year, month } = civil(days);
      return Math.floor((year * 12 + month - 1) / MONTHS[every]);
    }
  }
}

/** Hours since the epoch at which interval number `index` starts. */
export function startOf(index: number, every: Interval): number {
  switch (every) {
    case "hour":
      return index;
    case "day":
      return index * 24;
    case "week":
      return (index * 7 - 3) * 24;
    default: {
      const month = index * MONTHS[every];
      return daysOf(Math.floor(month / 12), (((month % 12) + 12) % 12) + 1, 1) * 24;
    }
  }
}

/**
 * The instant as a literal that means the same in every session: UTC is written out where the type has a zone
 * (DESIGN 7.7).
 */
export function instantText(hours: number, type: "date" | "timestamp" | "timestamptz"): string {
  const { year, month, day, hour } = calendarOf(hours);
  const two = (value: number) => String(value).padStart(2, "0");
  const date = `${String(year > 0 ? year : 1 - year).padStart(4, "0")}-${two(month)}-${two(day)}`;
  const time = type === "date" ? "" : ` ${two(hour)}:00:00${type === "timestamptz" ? "+00" : ""}`;
  return `${date}${time}${year > 0 ? "" : " BC"}`;
}

const MONTHS = { month: 1, quarter: 3, year: 12 } as const;

/** Days since the epoch; Howard Hinnant's days_from_civil (howardhinnant.github.io/date_algorithms.html). */
function daysOf(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

/** The inverse: civil_from_days. */
export function civil(days: number): { year: number; month: number; day: number } {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const march = Math.floor((5 * dayOfYear + 2) / 153);
  const month = march + (march < 10 ? 3 : -9);
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * march + 2) / 5) + 1,
  };
}

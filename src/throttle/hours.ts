/** Hours in which heavy work may be done, by the database's clock. Pure. */
import { badInput } from "../errors.js";
import type { Hours } from "./types.js";

const HOURS = /^([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-4]):([0-5]\d)(?:\s+(\S+))?$/;
const DAY = 24 * 60;

/** `22:00-06:00` or `22:00-06:00 Europe/Berlin`; UTC without a zone. Errors: bad-input. */
export function parseHours(text: string, option: string): Hours {
  const match = HOURS.exec(text.trim());
  const [, fromHour, fromMinute, toHour, toMinute, zone = "UTC"] = match ?? [];
  const from = Number(fromHour) * 60 + Number(fromMinute);
  const to = Number(toHour) * 60 + Number(toMinute);
  if (match === null || to > DAY || from === to % DAY)
    throw badInput(
      `${option}: "${text}" are no hours of the day`,
      `Write from and to, with a time zone unless you mean UTC: ${option} '22:00-06:00' or ${option} '22:00-06:00 Europe/Berlin'.`,
    );
  return { from, to: to % DAY, zone };
}

/** As it is typed. */
export function hoursText({ from, to, zone }: Hours): string {
  return `${clock(from)}-${clock(to)} ${zone}`;
}

/** Is `minute` of the day within? From is, to is not. */
export function isWithin({ from, to }: Pick<Hours, "from" | "to">, minute: number): boolean {
  return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}

/** Why these hours hold at `now` (`HH:MM` in their zone), or null. */
export function judgeHours(hours: Hours, now: string): string | null {
  const [hour, minute] = now.split(":").map(Number);
  if (isWithin(hours, (hour ?? 0) * 60 + (minute ?? 0))) return null;
  return `outside ${hoursText(hours)}: it is ${now}, on at ${clock(hours.from)}`;
}

function clock(minutes: number): string {
  return `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
}

import { expect, test } from "vitest";
import {
  bytes,
  countdown,
  duration,
  millis,
  moment,
  oneLine,
  percent,
  plural,
  rate,
  timeLeft,
  wrapWords,
} from "../../ui/format.js";
import { themeFor } from "../../ui/theme.js";

test.each([
  [0, "0.0s"],
  [340, "0.3s"],
  [9_949, "9.9s"],
  [9_950, "10s"],
  [59_600, "1m 00s"],
  [250_000, "4m 10s"],
  [7_500_000, "2h 05m"],
  [86_399_999, "1d 00h"],
  [273_600_000, "3d 04h"],
])("%d ms reads %s", (ms, text) => {
  expect(duration(ms)).toBe(text);
});

test("numbers carry their unit and are never invented", () => {
  expect([bytes(1_234_567_890), millis(61.4), millis(1_250)]).toEqual(["1.23 GB", "61 ms", "1.25 s"]);
  expect([plural(1, "key"), plural(5_000_000, "row")]).toEqual(["1 key", "5,000,000 rows"]);
  expect([rate(null, "rows"), rate(83_330, "rows")]).toEqual(["rows/s: measuring", "83,330 rows/s"]);
  expect([timeLeft(null), timeLeft(130)]).toEqual(["time left: measuring", "2m 10s left"]);
  expect([countdown(-5), countdown(59.9), moment("2026-07-02T12:00:00+02:00")]).toEqual([
    "0s",
    "59s",
    "2026-07-02 10:00 UTC",
  ]);
});

test("100% is only shown when all is done", () => {
  expect([percent(599, 600), percent(600, 600), percent(0, 0)]).toEqual(["99%", "100%", "0%"]);
});

test("text of other sessions cannot steer the terminal", () => {
  expect(oneLine("a\u001b[31m\nb\t\u009bc\u202e\u2028d ")).toBe("a[31m b c d");
});

test("sentences break between words, and no word is lost", () => {
  expect(wrapWords("the source is untouched", 10)).toEqual(["the source", "is", "untouched"]);
  expect(wrapWords("partway resume abcdefghijklm", 10)).toEqual(["partway", "resume", "abcdefghij", "klm"]);
});

test("NO_COLOR removes every style, and a locale without UTF-8 every glyph beyond ASCII", () => {
  const plain = themeFor({ NO_COLOR: "1", LANG: "C", LC_ALL: "" });
  expect(Object.values(plain.styles)).toEqual(Object.values(plain.styles).map(() => ({})));
  expect(Object.values(plain.glyphs).join("")).toMatch(/^[ -~]+$/);
  expect(themeFor({ NO_COLOR: "", LC_ALL: "de_DE.utf8" }).styles.bad).toEqual({ color: "red", bold: true });
  expect(themeFor({ LC_ALL: "de_DE.utf8" }).glyphs.done).toBe("✔");
});

test("no colour vanishes on a white terminal, or on a black one", () => {
  const named: Record<string, string> = { red: "#cd0000" };
  const part = (hex: string, at: number) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  // WCAG 2: relative luminance, and contrast with white and black.
  for (const { color } of Object.values(themeFor({}).styles)) {
    if (color === undefined) continue;
    const hex = named[color] ?? color;
    expect(hex).toMatch(/^#[0-9a-f]{6}$/);
    const light = 0.2126 * part(hex, 1) + 0.7152 * part(hex, 3) + 0.0722 * part(hex, 5);
    expect(Math.min(1.05 / (light + 0.05), (light + 0.05) / 0.05)).toBeGreaterThan(3);
  }
});

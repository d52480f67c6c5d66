import { describe, expect, test } from "vitest";
import { parseRequest } from "../../src/config/request.js";
import { renderLeafName } from "../../src/config/template.js";
import { intervalOf, parseHours, startOf } from "../../src/plan/calendar.js";
import type { Interval } from "../../src/plan/types.js";

/** The leaf name of the interval that holds `at`, through the same checks as on the command line. */
function named(template: string | undefined, table: string, every: Interval, at: string): string {
  const request = parseRequest(table, { by: "created_at", every, leaf: template });
  const start = startOf(intervalOf(parseHours(at) ?? Number.NaN, every), every);
  return renderLeafName(request.leafTemplate, table, { kind: "range-time", every, start });
}

describe("the documents' leaf names (FEATURES B6 and M)", () => {
  test.each<[string | undefined, string, Interval, string, string]>([
    ["jobs_y{YYYY}m{MM}", "jobs", "month", "2027-01-15", "jobs_y2027m01"],
    ["wa_msgs_{YYYY}w{WW}", "wa_messages", "week", "2026-03-04", "wa_msgs_2026w10"],
    ["tech_loc_{YYYYMMDD}", "technician_location_history", "day", "2026-03-04", "tech_loc_20260304"],
    ["audit_logs_y{YYYY}m{MM}", "audit_logs", "month", "2026-12-31", "audit_logs_y2026m12"],
    ["notif_logs_{YYYY}w{WW}", "notification_logs", "week", "2026-01-01", "notif_logs_2026w01"],
    ["{t}_{YYYY}_{MM}", "conversation_message", "month", "2026-03-04", "conversation_message_2026_03"],
    ["{table}_{YYYY}_{MM}", "message_recipient", "month", "2026-03-04", "message_recipient_2026_03"],
    [undefined, "conversation", "quarter", "2026-03-04", "conversation_2026_q1"],
    [undefined, "message_queue", "week", "2026-03-04", "message_queue_2026w10"],
    [undefined, "audit_logs", "month", "2026-03-04", "audit_logs_2026_03"],
    [undefined, "file_uploads", "quarter", "2026-12-31", "file_uploads_2026_q4"],
    [undefined, "leads", "month", "2024-02-29", "leads_2024_02"],
    ["events_{YYYY}_{MM}", "events", "month", "2026-03-04", "events_2026_03"],
    ["goal_completions_{YYYY}_{MM}", "goal_completions", "month", "2026-03-04", "goal_completions_2026_03"],
    [undefined, "readings", "hour", "2026-03-04 05:00:00+00", "readings_2026_03_04_05"],
    [undefined, "readings", "day", "2026-03-04", "readings_2026_03_04"],
    [undefined, "readings", "year", "2026-03-04", "readings_2026"],
  ])("%s of %s by %s at %s is %s", (template, table, every, at, name) => {
    expect(named(template, table, every, at)).toBe(name);
  });

  test("campaigns by hash", () => {
    const { leafTemplate } = parseRequest("campaigns", {
      by: "user_id",
      hash: "8",
      leaf: "campaigns_partition_{n}",
    });
    expect(renderLeafName(leafTemplate, "campaigns", { kind: "hash", remainder: 7 })).toBe(
      "campaigns_partition_7",
    );
  });
});

describe("weeks have one scheme, so no two weeks share a name (FEATURES N17)", () => {
  test.each([
    ["2025-12-29", "2026w01"],
    ["2025-12-28", "2025w52"],
    ["2020-12-31", "2020w53"],
    ["2021-01-03", "2020w53"],
    ["2021-01-04", "2021w01"],
    ["2027-01-01", "2026w53"],
  ])("%s is in %s, whichever letters are used", (at, week) => {
    for (const template of ["{YYYY}w{WW}", "{IYYY}w{IW}", "{YYYY}w{IW}", "{IYYY}w{WW}"])
      expect(named(template, "t", "week", at)).toBe(week);
  });

  test("a week named by its Monday keeps that day's own year", () => {
    expect(named("{YYYY}{MM}{DD}", "t", "week", "2026-01-01")).toBe("20251229");
  });
});

describe("a template that would mix leaves up is refused before anything is made", () => {
  const refuse = (options: object) => () => parseRequest("orders", { by: "c", ...options });

  test.each<[object, RegExp]>([
    [{ every: "month", leaf: "o_{YYYY}" }, /same name, because \{MM\} is missing/],
    [{ every: "month", leaf: "o_{MM}" }, /\{YYYY\} is missing/],
    [{ every: "month", leaf: "o_{YYYY}_q{Q}" }, /\{MM\} is missing/],
    [{ every: "day", leaf: "o_{YYYY}{MM}" }, /\{DD\} is missing/],
    [{ every: "hour", leaf: "o_{YYYYMMDD}" }, /\{HH\} is missing/],
    [{ every: "week", leaf: "o_{WW}" }, /\{[IY]YYY\} is missing/],
    [{ every: "week", leaf: "o_{YYYY}" }, /\{IW\} is missing/],
    [{ every: "quarter", leaf: "o_{YYYY}" }, /\{(Q|MM)\} is missing/],
    [{ every: "year", leaf: "o" }, /\{YYYY\} is missing/],
    [{ hash: "8", leaf: "{table}" }, /\{n\} is missing/],
    [{ step: "1000", leaf: "{table}" }, /\{from\} is missing/],
    [{ list: "a,b", leaf: "{table}" }, /\{value\} is missing/],
    [{ every: "month", leaf: "{table}_{YYYY}_{month}" }, /no placeholder \{month\}/],
    [{ every: "month", leaf: "{table}_{YYYY}_{MM}_{n}" }, /\{n\} means nothing/],
    [{ hash: "8", leaf: "{table}_{YYYY}_{n}" }, /\{YYYY\} means nothing/],
    [{ every: "month", leaf: "{table}_{YYYY}_{MM" }, /brace stands alone/],
  ])("%j", (options, message) => {
    expect(refuse(options)).toThrowError(message);
    expect(refuse(options)).toThrowError(expect.objectContaining({ exitCode: 2 }));
  });
});

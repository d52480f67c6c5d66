/**
 * The tables of the five systems (FEATURES M; test/systems has them as SQL) at the volumes their documents state: the
 * advice must be what a person would decide. Where it is not what the document says, the reason stands beside it (N34:
 * the documents' figures conflict, so what is measured decides).
 */
import { describe, expect, test } from "vitest";
import { column, index, primaryKey } from "../plan/fixture.js";
import { type Given, shown, verdictOf } from "./fixture.js";

const at = (name: string) => column(name, "timestamp without time zone");
const id = column("id", "text");
const key = primaryKey("pkey", ["id"]);
const DAY = 30.44;

const CAMPOTECH: Record<string, [Given, string]> = {
  jobs: [
    {
      ...{ rows: 6_000_000, perMonth: 500_000, bytesPerRow: 450 },
      columns: [id, at("scheduled_date"), at("created_at"), at("updated_at")],
      indexes: [key, index("jobs_org_status", ["organization_id", "status"])],
    },
    // The document says HIGH, for what the table means to the business: its growth is the smallest of the five.
    "medium created_at month",
  ],
  wa_messages: [{ rows: 60_000_000, perMonth: 5_000_000, bytesPerRow: 500 }, "high created_at week"],
  technician_location_history: [
    {
      ...{ rows: 150_000_000, perMonth: 50_000_000, deletes: 50_000_000, bytesPerRow: 250 },
      columns: [id, column("job_id", "text", { notNull: false }), at("recorded_at")],
      ...{ indexes: [key], since: { recorded_at: "2025-03-22 12:00:00" } },
    },
    "critical recorded_at day",
  ],
  audit_logs: [{ rows: 24_000_000, perMonth: 2_000_000, bytesPerRow: 450 }, "medium created_at month"],
  notification_logs: [
    {
      ...{ rows: 18_000_000, perMonth: 3_000_000, deletes: 3_000_000, bytesPerRow: 400 },
      columns: [id, column("sent_at", "timestamp without time zone", { notNull: false }), at("created_at")],
      ...{ indexes: [key], since: { created_at: "2024-12-20 00:00:00", sent_at: "2024-12-20 00:00:00" } },
    },
    // The document says MEDIUM; three million rows a month, all of them deleted one by one, are more than that.
    "high created_at week",
  ],
};

const YWMESSAGING: Record<string, [Given, string]> = {
  conversation_message: [
    {
      ...{
        rows: 5_000_000,
        perMonth: 420_000,
        columns: [id, column("conversationId", "text"), at("createdAt")],
      },
      ...{ indexes: [key], since: { createdAt: "2024-06-20 00:00:00" } },
    },
    "medium createdAt month",
  ],
  message: [{ rows: 500_000, perMonth: 42_000 }, "leave alone: small"],
  message_recipient: [{ rows: 2_000_000, perMonth: 170_000 }, "medium created_at month"],
  conversation: [{ rows: 500_000, perMonth: 42_000 }, "leave alone: small"],
  message_queue: [{ rows: 3_000, perMonth: 900_000, deletes: 899_000 }, "leave alone: queue"],
  admin: [
    { rows: 400_000, perMonth: 2_000, columns: [id, at("createdAt")], indexes: [key] },
    "leave alone: small",
  ],
};

/** Rows of a day, after `days`. */
const daily = (perDay: number, days: number, since: string): Given => ({
  ...{ rows: perDay * days, perMonth: perDay * DAY, bytesPerRow: 300, since: { created_at: since } },
});
const MULTISCHEMA: Record<string, [Given, string]> = {
  "platform.audit_logs": [daily(10_000, 7 * 365, "2018-06-22 00:00:00"), "medium created_at month"],
  "platform.activity_logs": [daily(50_000, 2 * 365, "2023-06-21 00:00:00"), "medium created_at month"],
  "compliance.data_access_log": [
    {
      ...daily(5_000, 7 * 365, "2018-06-22 00:00:00"),
      columns: [id, at("accessed_at")],
      indexes: [primaryKey("pkey", ["id", "accessed_at"])],
      since: { accessed_at: "2018-06-22 00:00:00" },
    },
    "medium accessed_at month",
  ],
  // 90,000 rows at any time: the document partitions it for its retention, which one DELETE an hour does as well.
  "auth.user_sessions": [
    { ...daily(1_000, 90, "2025-03-22 00:00:00"), deletes: 30_000 },
    "leave alone: small",
  ],
  // Not a million rows in its five years.
  "files.file_uploads": [daily(500, 5 * 365, "2020-06-21 00:00:00"), "leave alone: small"],
  "communication.notifications": [
    { ...daily(20_000, 365, "2024-06-20 00:00:00"), deletes: 600_000 },
    "medium created_at month",
  ],
};

const use = (meanMs: number, named: Record<string, number>) => ({
  use: { statements: 4, calls: 10_000, meanMs, slowShare: meanMs < 200 ? 0 : 0.4, named },
});
const BY_USER: Given = {
  bytesPerRow: 1_500,
  columns: [column("id", "bigint"), column("user_id", "bigint"), at("created_at"), at("updated_at")],
  indexes: [key, index("index_campaigns_on_user_id", ["user_id"])],
};
const CAMPAIGNS: Record<string, [Given, string]> = {
  leads: [{ rows: 1_200_000, perMonth: 100_000, bytesPerRow: 900 }, "medium created_at month"],
  agent_outputs: [{ rows: 2_500_000, perMonth: 210_000, bytesPerRow: 2_000 }, "medium created_at month"],
  "campaigns while its queries are fast": [
    { ...BY_USER, rows: 120_000, perMonth: 5_000, over: use(3, { user_id: 0.9 }) },
    "leave alone: small",
  ],
  "campaigns when they have become slow": [
    { ...BY_USER, rows: 120_000, perMonth: 5_000, over: use(340, { user_id: 0.9 }) },
    "medium user_id hash 8",
  ],
};

const ANALYTICS: Record<string, [Given, string]> = {
  events: [
    {
      ...{ rows: 36_000_000, perMonth: 3_000_000, deletes: 3_000_000, bytesPerRow: 600 },
      ...{ columns: [id, column("event_type", "text"), at("timestamp")], indexes: [key] },
      since: { timestamp: "2024-06-20 00:00:00" },
    },
    "high timestamp month",
  ],
  goal_completions: [
    {
      ...{ rows: 1_500_000, perMonth: 125_000, columns: [id, at("timestamp")], indexes: [key] },
      since: { timestamp: "2024-06-20 00:00:00" },
    },
    "medium timestamp month",
  ],
};

describe.each([
  ["CampoTech", CAMPOTECH],
  ["YWMESSAGING", YWMESSAGING],
  ["the platform of many schemas", MULTISCHEMA],
  ["the campaign SaaS", CAMPAIGNS],
  ["Analytics-Pulse", ANALYTICS],
])("%s would be advised otherwise than a person decides", (_, tables) => {
  test.each(Object.entries(tables))("%s", (name, [given, advice]) => {
    expect(shown(verdictOf({ name, ...given }))).toBe(advice);
  });
});

/** YWMESSAGING, church messaging on Prisma: camelCase columns, tables whose names begin with each other's. */
import { pick, ROWS, type System, type SystemTable, spread, within } from "../system.js";

const CLOCK = "2025-03-15 12:00";
const ID = "gen_random_uuid()::text";
const CHURCH = `CASE WHEN g % 10 = 0 THEN 'church_live' ELSE 'church_' || g % 5 END`;
/** Every tenth row is of those that are written to while the table is migrated; they lie within `live`. */
const at = (from: string, live: readonly [string, string]) =>
  `CASE WHEN g % 10 = 0 THEN ${spread(...live)} ELSE ${spread(from, CLOCK)} END`;

const EARLIER = ["2024-03-01", "2024-08-31"] as const;
/** Younger than 90 days: the archiving of messages does not reach it. */
const RECENT = ["2025-01-01", "2025-03-10"] as const;

const schema = [
  /*sql*/ `
  CREATE TABLE church (id text PRIMARY KEY, name text NOT NULL);
  CREATE TABLE admin (id text PRIMARY KEY, "churchId" text NOT NULL REFERENCES church (id), email text NOT NULL UNIQUE,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP);

  CREATE TABLE conversation (
    id text NOT NULL,
    "churchId" text NOT NULL,
    "contactId" text NOT NULL,
    status text NOT NULL DEFAULT 'open',
    "unreadCount" integer NOT NULL DEFAULT 0,
    "lastMessageAt" timestamp(3),
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updatedAt" timestamp(3) NOT NULL,
    CONSTRAINT conversation_pkey PRIMARY KEY (id),
    CONSTRAINT "conversation_churchId_fkey" FOREIGN KEY ("churchId") REFERENCES church (id)
      ON UPDATE CASCADE ON DELETE CASCADE);
  CREATE INDEX "conversation_churchId_lastMessageAt_idx" ON conversation ("churchId", "lastMessageAt" DESC);
  COMMENT ON COLUMN conversation."lastMessageAt" IS 'what the inbox is sorted by';

  CREATE TABLE conversation_message (
    id text NOT NULL,
    "conversationId" text NOT NULL,
    direction text NOT NULL,
    content text NOT NULL,
    "mediaUrls" text[] NOT NULL DEFAULT '{}',
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT conversation_message_pkey PRIMARY KEY (id),
    CONSTRAINT "conversation_message_conversationId_fkey" FOREIGN KEY ("conversationId") REFERENCES conversation (id)
      ON UPDATE CASCADE ON DELETE CASCADE);
  CREATE INDEX idx_conversation_msg_conv_created ON conversation_message ("conversationId", "createdAt");
  COMMENT ON TABLE conversation_message IS 'SMS both ways';

  CREATE TABLE message (
    id text NOT NULL,
    "churchId" text NOT NULL,
    content text NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    "totalRecipients" integer NOT NULL DEFAULT 0,
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT message_pkey PRIMARY KEY (id),
    CONSTRAINT "message_churchId_fkey" FOREIGN KEY ("churchId") REFERENCES church (id)
      ON UPDATE CASCADE ON DELETE CASCADE);
  CREATE INDEX "message_churchId_createdAt_idx" ON message ("churchId", "createdAt");
  CREATE INDEX message_status_idx ON message (status);

  CREATE TABLE message_recipient (
    id text NOT NULL,
    "messageId" text NOT NULL,
    "memberId" text NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    "failureReason" text,
    "deliveredAt" timestamp(3),
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT message_recipient_pkey PRIMARY KEY (id),
    CONSTRAINT "message_recipient_messageId_fkey" FOREIGN KEY ("messageId") REFERENCES message (id)
      ON UPDATE CASCADE ON DELETE CASCADE);
  CREATE INDEX "message_recipient_messageId_idx" ON message_recipient ("messageId");
  CREATE INDEX message_recipient_status_idx ON message_recipient (status);

  CREATE TABLE message_queue (
    id text NOT NULL,
    payload jsonb NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'pending',
    attempts integer NOT NULL DEFAULT 0,
    "nextRetryAt" timestamp(3),
    "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT message_queue_pkey PRIMARY KEY (id));
  CREATE INDEX message_queue_retry_idx ON message_queue ("nextRetryAt") WHERE status = 'pending';

  GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {app};
  REVOKE UPDATE ON conversation_message FROM {app};
  GRANT UPDATE (content, "mediaUrls", "createdAt", direction, "conversationId") ON conversation_message TO {app}`,
];

const rows = [
  "INSERT INTO church SELECT c, 'Church ' || c FROM unnest(ARRAY['church_0', 'church_1', 'church_2', 'church_3', 'church_4', 'church_live']) c",
  "INSERT INTO admin SELECT 'admin_' || g, 'church_' || g % 5, g || '@church.example' FROM generate_series(1, 20) g",
  /*sql*/ `
  INSERT INTO conversation SELECT 'conv_' || g, ${CHURCH}, 'contact_' || g, ${pick(["open", "open", "archived"], 2)}, g % 4,
         ${at("2023-01-01", EARLIER)} + interval '3 days', ${at("2023-01-01", EARLIER)}, ${at("2023-01-01", EARLIER)} + interval '3 days'
    FROM generate_series(1, ${ROWS}) g`,
  /*sql*/ `
  INSERT INTO conversation_message SELECT 'cm_' || g, CASE WHEN g % 10 = 0 THEN 'conv_1991' ELSE 'conv_' || (1 + g % 20 * 10) END,
         ${pick(["inbound", "outbound"], 3)}, repeat('peace ', 1 + g % 20), CASE WHEN g % 30 = 0 THEN ARRAY['s3://m/' || g] ELSE '{}' END,
         ${at("2024-01-01", EARLIER)}
    FROM generate_series(1, ${ROWS}) g`,
  /*sql*/ `
  INSERT INTO message SELECT 'msg_' || g, ${CHURCH}, 'Sunday ' || g, ${pick(["sent", "sent", "pending", "failed"])}, g % 300,
         ${at("2023-01-01", RECENT)}
    FROM generate_series(1, ${ROWS}) g`,
  /*sql*/ `
  INSERT INTO message_recipient SELECT 'mr_' || g, CASE WHEN g % 10 = 0 THEN 'msg_1991' ELSE 'msg_' || (1 + g % 20 * 10) END,
         'member_' || g % 400, ${pick(["delivered", "delivered", "failed", "pending"])},
         CASE WHEN g % 4 = 2 THEN 'carrier ' || g % 3 END, CASE WHEN g % 4 < 2 THEN ${at("2023-01-01", EARLIER)} END,
         ${at("2023-01-01", EARLIER)}
    FROM generate_series(1, ${ROWS}) g`,
  /*sql*/ `
  INSERT INTO message_queue SELECT 'q_' || g, jsonb_build_object('to', g, 'body', 'x'),
         CASE WHEN g % 10 = 0 THEN 'live' ELSE ${pick(["done", "done", "pending"])} END, g % 3,
         CASE WHEN g % 3 = 2 THEN ${spread("2025-01-01", CLOCK)} END, ${at("2025-01-01", RECENT)}
    FROM generate_series(1, ${ROWS}) g`,
];

const tables: SystemTable[] = [
  {
    table: '"public"."conversation_message"',
    options: { by: "createdAt", every: "month", leaf: "{t}_{YYYY}_{MM}", ahead: "1", keep: "24h" },
    leaves: 15 + 1,
    golden: {
      conversation_message_2024_01: "2024-01-01 2024-02-01",
      conversation_message_2024_02: "2024-02-01 2024-03-01",
      conversation_message_2025_04: "2025-04-01 2025-05-01",
    },
    mine: `t."conversationId" IN ('conv_1991', 'conv_1981')`,
    insert: `(id, "conversationId", direction, content, "createdAt") VALUES (${ID}, 'conv_1991', 'inbound', 'hello', ${within(...EARLIER)})`,
    updates: [
      "content = t.content || '!'",
      `"createdAt" = ${within(...EARLIER)}`,
      `"conversationId" = CASE t."conversationId" WHEN 'conv_1991' THEN 'conv_1981' ELSE 'conv_1991' END`,
      `"mediaUrls" = t."mediaUrls" || 'm'::text`,
    ],
    besides: ['"public"."conversation"'],
    queries: [
      `SELECT * FROM conversation_message WHERE "conversationId" = 'conv_11' AND "createdAt" >= timestamp '2025-03-15 12:00' - INTERVAL '30 days'`,
      `SELECT * FROM conversation_message WHERE "conversationId" = 'conv_11' ORDER BY "createdAt" DESC LIMIT 50 OFFSET 10`,
      `SELECT direction, count(*) FROM conversation_message WHERE "createdAt" >= '2024-09-15' AND "createdAt" < '2025-03-15' GROUP BY direction`,
    ],
    refusedByKey: [
      `UPDATE conversation_message SET "conversationId" = 'no such conversation' WHERE id = 'cm_1'`,
    ],
  },
  {
    table: '"public"."message"',
    options: {
      by: "createdAt",
      every: "month",
      leaf: "{t}_{YYYY}_{MM}",
      ahead: "1",
      keep: "24h",
      incomingFk: "drop",
    },
    leaves: 27 + 1,
    golden: {
      message_2023_01: "2023-01-01 2023-02-01",
      message_2025_03: "2025-03-01 2025-04-01",
      message_2025_04: "2025-04-01 2025-05-01",
    },
    mine: `t."churchId" = 'church_live'`,
    insert: `(id, "churchId", content, "createdAt") VALUES (${ID}, 'church_live', 'Potluck', ${within(...RECENT)})`,
    updates: [
      "status = 'sent'",
      `"totalRecipients" = t."totalRecipients" + 1`,
      `"createdAt" = ${within(...RECENT)}`,
    ],
    besides: ['"public"."message_recipient"'],
    queries: [
      `SELECT * FROM message WHERE "churchId" = 'church_3' AND "createdAt" >= '2025-01-01' AND status = 'sent'`,
      `UPDATE message SET status = 'archived' WHERE "createdAt" < timestamp '2025-03-15 12:00' - INTERVAL '90 days' RETURNING id, status`,
    ],
    refusedByKey: [`UPDATE message SET "churchId" = 'no such church' WHERE id = 'msg_1'`],
  },
  {
    table: '"public"."message_recipient"',
    options: { by: "createdAt", every: "month", leaf: "{t}_{YYYY}_{MM}", ahead: "1", keep: "24h" },
    leaves: 27 + 1,
    golden: {
      message_recipient_2023_01: "2023-01-01 2023-02-01",
      message_recipient_2025_04: "2025-04-01 2025-05-01",
    },
    mine: `t."messageId" IN ('msg_1991', 'msg_1981')`,
    insert: `(id, "messageId", "memberId", "createdAt") VALUES (${ID}, 'msg_1991', 'member_1', ${within(...EARLIER)})`,
    updates: [
      `status = 'delivered', "deliveredAt" = now()`,
      `"createdAt" = ${within(...EARLIER)}`,
      `"messageId" = CASE t."messageId" WHEN 'msg_1991' THEN 'msg_1981' ELSE 'msg_1991' END`,
    ],
    besides: ['"public"."message"'],
    queries: [
      `SELECT status, count(*) FROM message_recipient WHERE "messageId" = 'msg_21' AND "createdAt" >= '2024-09-15' GROUP BY status`,
      `DELETE FROM message_recipient WHERE "createdAt" < timestamp '2025-03-15 12:00' - INTERVAL '24 months' RETURNING *`,
    ],
  },
  {
    table: '"public"."conversation"',
    options: { by: "createdAt", every: "quarter", ahead: "1", keep: "24h", incomingFk: "drop" },
    leaves: 9 + 1,
    golden: {
      conversation_2023_q1: "2023-01-01 2023-04-01",
      conversation_2025_q1: "2025-01-01 2025-04-01",
      conversation_2025_q2: "2025-04-01 2025-07-01",
    },
    mine: `t."churchId" = 'church_live'`,
    insert: `(id, "churchId", "contactId", "createdAt", "updatedAt") VALUES (${ID}, 'church_live', 'c', ${within(...EARLIER)}, now())`,
    updates: [
      `"unreadCount" = t."unreadCount" + 1`,
      `"lastMessageAt" = now()`,
      `"createdAt" = ${within(...EARLIER)}`,
    ],
    besides: ['"public"."conversation_message"'],
    queries: [
      `SELECT * FROM conversation WHERE "churchId" = 'church_3' AND "lastMessageAt" >= timestamp '2025-03-15 12:00' - INTERVAL '90 days' ORDER BY "lastMessageAt" DESC`,
    ],
    refusedByKey: [`UPDATE conversation SET "churchId" = 'no such church' WHERE id = 'conv_1'`],
    back: true,
  },
  {
    table: '"public"."message_queue"',
    options: { by: "createdAt", every: "week", ahead: "12", keep: "24h" },
    leaves: 11 + 12,
    golden: {
      message_queue_2025w01: "2024-12-30 2025-01-06",
      message_queue_2025w23: "2025-06-02 2025-06-09",
    },
    mine: "t.status = 'live'",
    insert: `(id, status, "createdAt") VALUES (${ID}, 'live', ${within(...RECENT)})`,
    updates: ["attempts = t.attempts + 1", `"nextRetryAt" = now()`, `"createdAt" = ${within(...RECENT)}`],
    queries: [
      `SELECT * FROM message_queue WHERE status = 'pending' AND "nextRetryAt" <= '2025-03-10' ORDER BY "nextRetryAt" LIMIT 100`,
    ],
    indexed: {
      [`SELECT * FROM message_queue WHERE status = 'pending' AND "nextRetryAt" <= '2025-03-10'`]: "retry_idx",
    },
  },
];

export const ywmessaging: System = { now: "2025-03-15T12:00:00Z", path: "public", schema, rows, tables };

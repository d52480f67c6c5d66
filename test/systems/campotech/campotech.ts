/** CampoTech, a field-service platform on Prisma: text ids, timestamp(3) without zone, leaf names that are not the table's. */
import { FULL, pick, ROWS, type System, type SystemTable, spread, within } from "../system.js";

const LIVE_FROM = "2025-04-01";
const LIVE_TO = "2025-05-31";
/** Every tenth row is of the organization that works while the table is migrated. */
const ORGANIZATION = `CASE WHEN g % 10 = 0 THEN 'org_live' ELSE ${pick(["xxx", "org_1", "org_2", "org_3"])} END`;
/** Rows of that organization lie within its months. */
const at = (from: string, to: string) =>
  `CASE WHEN g % 10 = 0 THEN ${spread(LIVE_FROM, LIVE_TO)} ELSE ${spread(from, to)} END`;
const ANY = within(LIVE_FROM, LIVE_TO);
const CLOCK = "2025-06-20 12:00";
/** Positions are kept for 90 days; each day is a leaf with four indexes. */
const DAYS = FULL
  ? { from: "2025-03-22", next: "2025-03-23", leaves: 91 }
  : { from: "2025-05-22", next: "2025-05-23", leaves: 30 };
const LIVE_DAYS = ["2025-06-01", "2025-06-08"] as const;

const schema = [
  /*sql*/ `
  CREATE TABLE organizations (id text PRIMARY KEY, name text NOT NULL);
  CREATE TYPE job_status AS ENUM ('draft', 'scheduled', 'in_progress', 'completed', 'cancelled');

  CREATE TABLE jobs (
    id text NOT NULL,
    organization_id text NOT NULL,
    technician_id text,
    title text NOT NULL,
    status job_status NOT NULL DEFAULT 'scheduled',
    scheduled_date date,
    price numeric(12,2) NOT NULL DEFAULT 0,
    tags text[] NOT NULL DEFAULT '{}',
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    CONSTRAINT jobs_pkey PRIMARY KEY (id),
    CONSTRAINT jobs_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id)
      ON UPDATE CASCADE ON DELETE RESTRICT);
  CREATE INDEX jobs_organization_id_status_idx ON jobs (organization_id, status);
  CREATE INDEX jobs_organization_id_scheduled_date_idx ON jobs (organization_id, scheduled_date);
  CREATE INDEX jobs_technician_id_status_idx ON jobs (technician_id, status);
  COMMENT ON TABLE jobs IS 'One visit of a technician';
  COMMENT ON COLUMN jobs.price IS 'ARS, without VAT';

  CREATE TABLE wa_messages (
    id text NOT NULL,
    organization_id text NOT NULL,
    conversation_id text NOT NULL,
    direction text NOT NULL,
    body text,
    media jsonb,
    status text NOT NULL DEFAULT 'queued',
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT wa_messages_pkey PRIMARY KEY (id),
    CONSTRAINT wa_messages_direction_check CHECK (direction IN ('inbound', 'outbound')));
  CREATE INDEX wa_messages_organization_id_created_at_idx ON wa_messages (organization_id, created_at);
  CREATE INDEX wa_messages_conversation_id_created_at_idx ON wa_messages (conversation_id, created_at);

  CREATE TABLE technician_location_history (
    id bigserial PRIMARY KEY,
    user_id text NOT NULL,
    job_id text,
    session_id text,
    latitude double precision NOT NULL,
    longitude double precision NOT NULL,
    accuracy real,
    recorded_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT technician_location_history_job_id_fkey FOREIGN KEY (job_id) REFERENCES jobs (id)
      ON UPDATE CASCADE ON DELETE SET NULL);
  CREATE INDEX technician_location_history_user_id_recorded_at_idx ON technician_location_history (user_id, recorded_at);
  CREATE INDEX technician_location_history_job_id_idx ON technician_location_history (job_id);
  CREATE INDEX technician_location_history_session_id_idx ON technician_location_history (session_id);
  COMMENT ON TABLE technician_location_history IS 'GPS every 30 s';

  CREATE TABLE audit_logs (
    id text NOT NULL DEFAULT gen_random_uuid(),
    organization_id text NOT NULL,
    user_id text,
    entity_type text NOT NULL,
    entity_id text NOT NULL,
    action text NOT NULL,
    changes jsonb NOT NULL DEFAULT '{}',
    ip inet,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT audit_logs_pkey PRIMARY KEY (id));
  CREATE INDEX audit_logs_organization_id_created_at_idx ON audit_logs (organization_id, created_at);
  CREATE INDEX audit_logs_entity_type_entity_id_idx ON audit_logs (entity_type, entity_id);
  COMMENT ON TABLE audit_logs IS 'Kept for three years by law';

  CREATE TABLE notification_logs (
    id text NOT NULL,
    organization_id text NOT NULL,
    user_id text NOT NULL,
    channel text NOT NULL,
    payload jsonb NOT NULL DEFAULT '{}',
    sent_at timestamp(3),
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT notification_logs_pkey PRIMARY KEY (id));
  CREATE INDEX notification_logs_organization_id_created_at_idx ON notification_logs (organization_id, created_at);
  CREATE INDEX notification_logs_user_id_created_at_idx ON notification_logs (user_id, created_at);

  GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {app};
  GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {app};
  REVOKE DELETE ON audit_logs FROM {app};
  GRANT DELETE ON audit_logs TO {app} WITH GRANT OPTION`,
];

const rows = [
  "INSERT INTO organizations SELECT o, 'Organization ' || o FROM unnest(ARRAY['xxx', 'org_1', 'org_2', 'org_3', 'org_live']) o",
  /*sql*/ `
  INSERT INTO jobs SELECT 'job_' || g, ${ORGANIZATION}, nullif('tech_' || g % 7, 'tech_0'), 'Repair ' || g,
         ${pick(["draft", "scheduled", "in_progress", "completed", "completed", "cancelled"], 3)}::job_status,
         ${at("2025-01-01", CLOCK)}::date + g % 20, (random() * 1e5)::numeric(12,2), ARRAY['a', 't' || g % 3],
         ${at("2025-01-01", CLOCK)}, ${at("2025-01-01", CLOCK)} + interval '1 hour'
    FROM generate_series(1, ${ROWS}) g`,
  /*sql*/ `
  INSERT INTO wa_messages SELECT 'wam_' || g, ${ORGANIZATION}, 'conv_' || g % 40, ${pick(["inbound", "outbound"])},
         CASE WHEN g % 9 = 0 THEN NULL ELSE repeat('hola ', 1 + g % 30) END,
         CASE WHEN g % 25 = 0 THEN jsonb_build_object('url', 'https://x/' || g) END, ${pick(["queued", "sent", "read"], 5)},
         ${at("2025-01-01", CLOCK)}
    FROM generate_series(1, ${ROWS}) g`,
  /*sql*/ `
  INSERT INTO technician_location_history (user_id, job_id, session_id, latitude, longitude, accuracy, recorded_at)
  SELECT CASE WHEN g % 10 = 0 THEN 'user_live' ELSE 'user_' || g % 7 END,
         CASE WHEN g % 3 = 0 THEN NULL ELSE 'job_' || (g / 10 * 10 + 1) % ${ROWS} END, 'session_' || g / 20,
         -34.6 + random() / 10, -58.4 + random() / 10, random() * 20,
         CASE WHEN g % 10 = 0 THEN ${spread(...LIVE_DAYS)} ELSE ${spread(`${DAYS.from} 01:00`, CLOCK)} END
    FROM generate_series(1, ${ROWS}) g`,
  /*sql*/ `
  INSERT INTO audit_logs (organization_id, user_id, entity_type, entity_id, action, changes, ip, created_at)
  SELECT ${ORGANIZATION}, 'user_' || g % 7, ${pick(["Job", "Invoice", "Customer"], 2)}, 'e' || g % 50,
         ${pick(["create", "update", "delete"])}, jsonb_build_object('n', g, 'was', NULL),
         '10.0.0.0'::inet + g, ${at("2024-06-01", CLOCK)}
    FROM generate_series(1, ${ROWS}) g`,
  /*sql*/ `
  INSERT INTO notification_logs SELECT 'n_' || g, ${ORGANIZATION}, 'user_' || g % 7, ${pick(["push", "email", "sms"])},
         jsonb_build_object('job', 'job_' || g), CASE WHEN g % 4 > 0 THEN ${at("2025-01-01", CLOCK)} END,
         ${at("2025-01-01", CLOCK)}
    FROM generate_series(1, ${ROWS}) g`,
];

const mine = "t.organization_id = 'org_live'";
const ID = "gen_random_uuid()::text";

const tables: SystemTable[] = [
  {
    table: '"public"."technician_location_history"',
    options: { by: "recorded_at", every: "day", leaf: "tech_loc_{YYYYMMDD}", ahead: "90", keep: "7d" },
    leaves: DAYS.leaves + 90,
    golden: {
      [`tech_loc_${DAYS.from.replaceAll("-", "")}`]: `${DAYS.from} ${DAYS.next}`,
      tech_loc_20250620: "2025-06-20 2025-06-21",
      tech_loc_20250918: "2025-09-18 2025-09-19",
    },
    mine: "t.user_id = 'user_live'",
    insert: `(user_id, job_id, session_id, latitude, longitude, recorded_at) VALUES ('user_live',
       'job_' || 1 + 10 * floor(random() * 100)::int, 'session_live', random(), random(), ${within(...LIVE_DAYS)})`,
    updates: [
      "accuracy = coalesce(t.accuracy, 0) + 1",
      "job_id = NULL",
      `recorded_at = ${within(...LIVE_DAYS)}`,
      "job_id = 'job_' || 1 + 10 * floor(random() * 100)::int",
    ],
    besides: ['"public"."jobs"'],
    queries: [
      "SELECT * FROM technician_location_history WHERE user_id = 'user_3' AND recorded_at >= '2025-06-10' AND recorded_at < '2025-06-11'",
      "SELECT * FROM technician_location_history WHERE job_id = 'job_1001' AND user_id <> 'user_live'",
      "SELECT count(*), max(id) FROM technician_location_history WHERE recorded_at >= timestamp '2025-06-20 12:00' - interval '7 days'",
    ],
    refusedByKey: ["UPDATE technician_location_history SET job_id = 'no such job' WHERE user_id = 'user_3'"],
  },
  {
    table: '"public"."wa_messages"',
    options: { by: "created_at", every: "week", leaf: "wa_msgs_{YYYY}w{WW}", ahead: "52", keep: "7d" },
    // The document counts weeks from 1 January; Partway's are ISO weeks, Monday to Monday.
    leaves: 25 + 52,
    golden: {
      wa_msgs_2025w01: "2024-12-30 2025-01-06",
      wa_msgs_2025w02: "2025-01-06 2025-01-13",
      wa_msgs_2026w01: "2025-12-29 2026-01-05",
      wa_msgs_2026w25: "2026-06-15 2026-06-22",
    },
    mine,
    insert: `(id, organization_id, conversation_id, direction, body, created_at) VALUES (${ID}, 'org_live', 'conv_live', 'inbound', 'hola', ${ANY})`,
    updates: ["status = 'read'", "body = t.body || '!'", `created_at = ${ANY}`, "media = '{\"u\": 1}'"],
    queries: [
      "SELECT * FROM wa_messages WHERE organization_id = 'xxx' AND created_at >= '2025-06-01'",
      "SELECT * FROM wa_messages WHERE conversation_id = 'conv_7' ORDER BY created_at DESC LIMIT 50",
    ],
  },
  {
    table: '"public"."jobs"',
    options: {
      by: "created_at",
      every: "month",
      leaf: "jobs_y{YYYY}m{MM}",
      ahead: "24",
      keep: "7d",
      incomingFk: "drop",
    },
    leaves: 6 + 24,
    golden: {
      jobs_y2025m01: "2025-01-01 2025-02-01",
      jobs_y2025m02: "2025-02-01 2025-03-01",
      jobs_y2025m06: "2025-06-01 2025-07-01",
      jobs_y2027m01: "2027-01-01 2027-02-01",
      jobs_y2027m06: "2027-06-01 2027-07-01",
    },
    mine,
    insert: `(id, organization_id, title, created_at, updated_at) VALUES (${ID}, 'org_live', 'Install', ${ANY}, now())`,
    updates: [
      "status = 'completed'",
      "price = t.price + 0.5, tags = t.tags || 'x'::text",
      `created_at = ${ANY}`,
    ],
    besides: ['"public"."technician_location_history"'],
    queries: [
      "SELECT * FROM jobs WHERE created_at >= '2025-06-01' AND organization_id = 'xxx'",
      "SELECT * FROM jobs WHERE organization_id = 'xxx'",
      "SELECT * FROM jobs WHERE created_at >= '2025-06-01' AND created_at < '2025-07-01'",
      "SELECT * FROM jobs WHERE technician_id = 'tech_3' AND status = 'scheduled' AND organization_id <> 'org_live'",
    ],
    refusedByKey: ["UPDATE jobs SET organization_id = 'no such organization' WHERE id = 'job_1'"],
    back: true,
  },
  {
    table: '"public"."audit_logs"',
    options: { by: "created_at", every: "month", leaf: "audit_logs_y{YYYY}m{MM}", ahead: "36", keep: "7d" },
    leaves: 13 + 36,
    golden: {
      audit_logs_y2024m06: "2024-06-01 2024-07-01",
      audit_logs_y2025m01: "2025-01-01 2025-02-01",
      audit_logs_y2028m06: "2028-06-01 2028-07-01",
    },
    mine,
    insert: `(organization_id, entity_type, entity_id, action, created_at) VALUES ('org_live', 'Job', 'j', 'create', ${ANY})`,
    updates: ["changes = t.changes || '{\"seen\": true}'", `created_at = ${ANY}`, "ip = NULL"],
    queries: [
      "SELECT * FROM audit_logs WHERE organization_id = 'xxx' AND created_at >= '2025-06-01'",
      "SELECT * FROM audit_logs WHERE entity_type = 'Invoice' AND entity_id = 'e7' AND organization_id <> 'org_live'",
    ],
  },
  {
    table: '"public"."notification_logs"',
    options: { by: "created_at", every: "week", leaf: "notif_logs_{YYYY}w{WW}", ahead: "26", keep: "7d" },
    leaves: 25 + 26,
    golden: {
      notif_logs_2025w01: "2024-12-30 2025-01-06",
      notif_logs_2025w51: "2025-12-15 2025-12-22",
    },
    mine,
    insert: `(id, organization_id, user_id, channel, created_at) VALUES (${ID}, 'org_live', 'user_1', 'push', ${ANY})`,
    updates: ["sent_at = now()", `created_at = ${ANY}`],
    queries: [
      "SELECT * FROM notification_logs WHERE organization_id = 'xxx' AND created_at >= '2025-06-01'",
      "SELECT * FROM notification_logs WHERE user_id = 'user_2' AND created_at >= '2025-06-01' AND created_at < '2025-06-08'",
    ],
  },
];

export const campotech: System = { now: "2025-06-20T12:00:00Z", path: "public", schema, rows, tables };

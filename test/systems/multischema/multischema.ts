/** The multi-schema platform: five schemas, four foreign keys into auth.users on each table, uuid keys with defaults. */
import { pick, ROWS, type System, type SystemTable, spread, within } from "../system.js";

const CLOCK = "2024-02-10 12:00";
const LIVE = ["2023-12-01", "2023-12-20"] as const;
const at = (from: string, live: readonly [string, string] = LIVE) =>
  `CASE WHEN g % 10 = 0 THEN ${spread(...live, "timestamptz")} ELSE ${spread(from, CLOCK, "timestamptz")} END`;
const any = (live: readonly [string, string] = LIVE) => within(...live, "timestamptz");

/** The 50 users are made from their numbers. */
const user = (n: string) => `md5('user ' || ${n})::uuid`;
const SOMEBODY = user("floor(random() * 50)::int");
/** Whatever is written while the table is migrated says so. */
const LABEL = `CASE WHEN g % 10 = 0 THEN 'live' ELSE 'app/' || g % 3 END`;

const KEYS = /*sql*/ `
    created_by uuid REFERENCES auth.users (id),
    updated_by uuid REFERENCES auth.users (id),
    deleted_by uuid REFERENCES auth.users (id),
    updated_at timestamptz,
    deleted_at timestamptz`;
/** created_by, updated_by, deleted_by. */
const BY = `${user("g % 50")}, CASE WHEN g % 5 = 0 THEN ${user("g % 7")} END, CASE WHEN g % 40 = 0 THEN ${user("g % 3")} END`;

const schema = [
  /*sql*/ `
  CREATE SCHEMA platform; CREATE SCHEMA compliance; CREATE SCHEMA auth; CREATE SCHEMA files; CREATE SCHEMA communication;
  CREATE TABLE auth.users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text NOT NULL UNIQUE);

  CREATE TABLE platform.audit_logs (
    id uuid DEFAULT gen_random_uuid(),
    user_id uuid REFERENCES auth.users (id),
    action varchar(100) NOT NULL,
    resource_type varchar(100) NOT NULL,
    resource_id uuid,
    previous_state jsonb,
    new_state jsonb,
    ip_address inet,
    user_agent text,
    session_id uuid,
    created_at timestamptz DEFAULT now() NOT NULL,${KEYS},
    PRIMARY KEY (id, created_at));
  CREATE INDEX idx_audit_logs_user_id ON platform.audit_logs (user_id, created_at);
  CREATE INDEX idx_audit_logs_resource ON platform.audit_logs (resource_type, resource_id, created_at);
  CREATE INDEX idx_audit_logs_action ON platform.audit_logs (action, created_at);
  CREATE INDEX idx_audit_logs_session ON platform.audit_logs (session_id, created_at);
  COMMENT ON TABLE platform.audit_logs IS 'kept for seven years';
  COMMENT ON INDEX platform.idx_audit_logs_session IS 'one session''s trail';

  CREATE TABLE platform.activity_logs (
    id uuid DEFAULT gen_random_uuid(),
    user_id uuid REFERENCES auth.users (id),
    activity_type varchar(100) NOT NULL,
    activity_description text,
    metadata jsonb DEFAULT '{}',
    ip_address inet,
    created_at timestamptz DEFAULT now() NOT NULL,${KEYS},
    PRIMARY KEY (id, created_at));
  CREATE INDEX idx_activity_logs_user_id ON platform.activity_logs (user_id, created_at);
  CREATE INDEX idx_activity_logs_type ON platform.activity_logs (activity_type, created_at);
  CREATE INDEX idx_activity_logs_created_at ON platform.activity_logs (created_at);

  CREATE TABLE compliance.data_access_log (
    id uuid DEFAULT gen_random_uuid(),
    user_id uuid REFERENCES auth.users (id),
    resource_type varchar(100) NOT NULL,
    purpose text NOT NULL,
    accessed_at timestamptz DEFAULT now() NOT NULL,${KEYS},
    CONSTRAINT pk_data_access_log PRIMARY KEY (id, accessed_at));
  COMMENT ON CONSTRAINT pk_data_access_log ON compliance.data_access_log IS 'GDPR art. 30';

  CREATE TABLE auth.user_sessions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES auth.users (id),
    user_agent text,
    expires_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,${KEYS});

  CREATE TABLE files.file_uploads (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid REFERENCES auth.users (id),
    file_name text NOT NULL,
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    checksum bytea,
    created_at timestamptz DEFAULT now() NOT NULL,${KEYS});

  CREATE TABLE communication.notifications (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid REFERENCES auth.users (id),
    channel varchar(20) NOT NULL,
    data jsonb NOT NULL DEFAULT '{}',
    read_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,${KEYS});

  GRANT USAGE ON SCHEMA platform, compliance, auth, files, communication TO {app};
  GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA platform, compliance, auth, files, communication TO {app}`,
];

const rows = [
  `INSERT INTO auth.users SELECT ${user("n")}, n || '@platform.example' FROM generate_series(0, 49) n`,
  /*sql*/ `
  INSERT INTO platform.audit_logs SELECT md5('a' || g)::uuid, ${user("g % 50")}, ${pick(["login", "update", "export"])},
         ${pick(["invoice", "contract", "user"], 2)}, md5('r' || g % 30)::uuid, CASE WHEN g % 2 = 0 THEN jsonb_build_object('v', g) END,
         jsonb_build_object('v', g + 1), '10.1.0.0'::inet + g, ${LABEL}, md5('s' || g / 5)::uuid, ${at("2023-01-01")}, ${BY}
    FROM generate_series(1, ${ROWS}) g`,
  /*sql*/ `
  INSERT INTO platform.activity_logs SELECT md5('b' || g)::uuid, ${user("g % 50")}, ${LABEL}, 'did ' || g,
         CASE WHEN g % 6 = 0 THEN NULL ELSE jsonb_build_object('k', g % 5) END, '10.2.0.0'::inet + g, ${at("2023-01-01")}, ${BY}
    FROM generate_series(1, ${ROWS}) g`,
  /*sql*/ `
  INSERT INTO compliance.data_access_log SELECT md5('c' || g)::uuid, ${user("g % 50")}, ${pick(["patient", "invoice"])}, ${LABEL},
         ${at("2023-01-01")}, ${BY}
    FROM generate_series(1, ${ROWS}) g`,
  /*sql*/ `
  INSERT INTO auth.user_sessions SELECT md5('d' || g)::uuid, ${user("g % 50")}, ${LABEL}, ${at("2023-11-12")} + interval '30 days',
         ${at("2023-11-12")}, ${BY}
    FROM generate_series(1, ${ROWS}) g`,
  /*sql*/ `
  INSERT INTO files.file_uploads SELECT md5('e' || g)::uuid, ${user("g % 50")}, CASE WHEN g % 10 = 0 THEN 'live' ELSE 'scan ' || g || '.pdf' END,
         g * 1000, decode(md5('' || g), 'hex'), ${at("2021-01-01", ["2022-02-01", "2022-11-30"])}, ${BY}
    FROM generate_series(1, ${ROWS}) g`,
  /*sql*/ `
  INSERT INTO communication.notifications SELECT md5('f' || g)::uuid, ${user("g % 50")},
         CASE WHEN g % 10 = 0 THEN 'live' ELSE ${pick(["email", "push"])} END, jsonb_build_object('n', g),
         CASE WHEN g % 3 = 0 THEN ${at("2023-02-01")} END, ${at("2023-02-01")}, ${BY}
    FROM generate_series(1, ${ROWS}) g`,
];

/** Each of the four keys into auth.users refuses who is not there. */
const strangers = (table: string, where: string) =>
  ["user_id", "created_by", "updated_by", "deleted_by"].map(
    (column) => `UPDATE ${table} SET ${column} = md5('nobody')::uuid WHERE ${where}`,
  );

const tables: SystemTable[] = [
  {
    table: '"platform"."audit_logs"',
    options: { by: "created_at", every: "month", leaf: "{t}_{YYYY}_{MM}", ahead: "12" },
    leaves: 14 + 12,
    golden: {
      audit_logs_2023_01: "2023-01-01 2023-02-01",
      audit_logs_2024_01: "2024-01-01 2024-02-01",
      audit_logs_2025_02: "2025-02-01 2025-03-01",
    },
    mine: "t.user_agent = 'live'",
    insert: `(user_id, action, resource_type, user_agent, created_at) VALUES (${SOMEBODY}, 'login', 'user', 'live', ${any()})`,
    updates: [
      `updated_by = ${SOMEBODY}, updated_at = now()`,
      `created_at = ${any()}`,
      "new_state = NULL",
      "action = 'update'",
    ],
    queries: [
      "SELECT * FROM audit_logs WHERE created_at >= '2024-01-01' AND created_at < '2024-02-01'",
      "SELECT * FROM audit_logs WHERE created_at >= timestamptz '2024-02-10 00:00+00' - INTERVAL '1 day'",
      `SELECT * FROM audit_logs WHERE user_id = ${user("7")} AND created_at >= '2024-01-01'`,
      "SELECT resource_type, action, count(*) FROM audit_logs WHERE created_at >= '2024-01-01' GROUP BY 1, 2",
    ],
    refusedByKey: strangers("audit_logs", "action = 'export'"),
    back: true,
  },
  {
    table: '"platform"."activity_logs"',
    options: { by: "created_at", every: "month", leaf: "{t}_{YYYY}_{MM}", ahead: "12" },
    leaves: 14 + 12,
    golden: {
      activity_logs_2023_01: "2023-01-01 2023-02-01",
      activity_logs_2025_02: "2025-02-01 2025-03-01",
    },
    mine: "t.activity_type = 'live'",
    insert: `(user_id, activity_type, created_at) VALUES (${SOMEBODY}, 'live', ${any()})`,
    updates: [
      `deleted_by = ${SOMEBODY}, deleted_at = now()`,
      `created_at = ${any()}`,
      "metadata = coalesce(t.metadata, '{}') || '{\"x\": 1}'",
    ],
    queries: [
      "SELECT * FROM activity_logs WHERE activity_type = 'app/1' AND created_at >= '2024-01-01'",
      "SELECT date_trunc('day', created_at) AS day, count(*) FROM activity_logs WHERE created_at >= '2024-01-01' GROUP BY 1",
    ],
    refusedByKey: strangers("activity_logs", "activity_type = 'app/1'"),
  },
  {
    table: '"compliance"."data_access_log"',
    options: { by: "accessed_at", every: "month", leaf: "{t}_{YYYY}_{MM}", ahead: "12" },
    leaves: 14 + 12,
    golden: {
      data_access_log_2023_01: "2023-01-01 2023-02-01",
      data_access_log_2025_02: "2025-02-01 2025-03-01",
    },
    mine: "t.purpose = 'live'",
    insert: `(user_id, resource_type, purpose, accessed_at) VALUES (${SOMEBODY}, 'patient', 'live', ${any()})`,
    updates: [`updated_by = ${SOMEBODY}`, `accessed_at = ${any()}`],
    queries: [
      "SELECT user_id, resource_type, count(*) FROM data_access_log WHERE accessed_at >= '2024-01-01' AND accessed_at < '2024-02-01' GROUP BY 1, 2",
    ],
    refusedByKey: strangers("data_access_log", "resource_type = 'invoice'"),
  },
  {
    table: '"auth"."user_sessions"',
    options: { by: "created_at", every: "month", leaf: "{t}_{YYYY}_{MM}", ahead: "12" },
    leaves: 4 + 12,
    golden: {
      user_sessions_2023_11: "2023-11-01 2023-12-01",
      user_sessions_2024_02: "2024-02-01 2024-03-01",
      user_sessions_2025_02: "2025-02-01 2025-03-01",
    },
    mine: "t.user_agent = 'live'",
    insert: `(user_id, user_agent, created_at) VALUES (${SOMEBODY}, 'live', ${any()})`,
    updates: ["expires_at = now()", `created_at = ${any()}`, `user_id = ${SOMEBODY}`],
    queries: [
      `SELECT * FROM user_sessions WHERE user_id = ${user("7")} AND expires_at > '2024-02-10' AND user_agent <> 'live'`,
    ],
    refusedByKey: strangers("user_sessions", "user_agent = 'app/1'"),
  },
  {
    table: '"files"."file_uploads"',
    options: { by: "created_at", every: "quarter", ahead: "4" },
    leaves: 13 + 4,
    golden: {
      file_uploads_2021_q1: "2021-01-01 2021-04-01",
      file_uploads_2024_q1: "2024-01-01 2024-04-01",
      file_uploads_2025_q1: "2025-01-01 2025-04-01",
    },
    mine: "t.file_name = 'live'",
    insert: `(user_id, file_name, size_bytes, created_at) VALUES (${SOMEBODY}, 'live', 1, ${any(["2022-02-01", "2022-11-30"])})`,
    updates: [
      "size_bytes = t.size_bytes + 1",
      `created_at = ${any(["2022-02-01", "2022-11-30"])}`,
      "checksum = '\\x00ff'",
    ],
    queries: ["SELECT * FROM file_uploads WHERE created_at >= '2024-01-01' AND created_at < '2024-04-01'"],
    refusedByKey: strangers("file_uploads", "file_name LIKE 'scan 1%'"),
  },
  {
    table: '"communication"."notifications"',
    options: { by: "created_at", every: "month", leaf: "{t}_{YYYY}_{MM}", ahead: "12" },
    leaves: 13 + 12,
    golden: {
      notifications_2023_02: "2023-02-01 2023-03-01",
      notifications_2025_02: "2025-02-01 2025-03-01",
    },
    mine: "t.channel = 'live'",
    insert: `(user_id, channel, created_at) VALUES (${SOMEBODY}, 'live', ${any()})`,
    updates: ["read_at = now()", `created_at = ${any()}`],
    queries: [
      `SELECT * FROM notifications WHERE user_id = ${user("7")} AND read_at IS NULL AND created_at >= '2024-01-01'`,
    ],
    refusedByKey: strangers("notifications", "channel = 'email'"),
  },
];

export const multischema: System = {
  now: "2024-02-10T12:00:00Z",
  path: "platform, compliance, auth, files, communication",
  schema,
  rows,
  tables,
};

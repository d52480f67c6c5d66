/** Analytics-Pulse: a partition column that is called timestamp, GIN indexes, and a trigger that looks after partitions. */
import { pick, ROWS, type System, type SystemTable, spread, within } from "../system.js";

const CLOCK = "2025-06-15 12:00";
const LIVE = ["2025-02-01", "2025-04-30"] as const;
const ANY = within(...LIVE, "timestamptz");
const at = `CASE WHEN g % 10 = 0 THEN ${spread(...LIVE, "timestamptz")} ELSE ${spread("2024-07-01 01:00", CLOCK, "timestamptz")} END`;
const SESSION = "CASE WHEN g % 10 = 0 THEN 'live' ELSE 's' || g / 7 END";
const project = (n: string) => `md5('project ' || ${n})::uuid`;
const goal = (n: string) => `md5('goal ' || ${n})::uuid`;

/** As the document says, current, previous and next month; where the table is not partitioned there is nothing to do. */
const PARTITIONS = /*sql*/ `
  CREATE FUNCTION create_partition(parent text, month date) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE leaf text := parent || '_' || to_char(month, 'YYYY_MM');
  BEGIN
    IF to_regclass(format('public.%I', leaf)) IS NULL THEN
      EXECUTE format('CREATE TABLE public.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (%L)',
        leaf, parent, month, month + interval '1 month');
    END IF;
  END $$;
  CREATE FUNCTION look_after_partitions() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE this date := date_trunc('month', NEW."timestamp");
  BEGIN
    IF EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('public.' || TG_ARGV[0]) AND relkind = 'p') THEN
      PERFORM public.create_partition(TG_ARGV[0], (this + n * interval '1 month')::date) FROM generate_series(-1, 1) n;
    END IF;
    RETURN NEW;
  END $$;`;

const schema = [
  /*sql*/ `
  CREATE TABLE projects (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL);
  CREATE TABLE goals (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), project_id uuid NOT NULL REFERENCES projects (id), name text NOT NULL);
  ${PARTITIONS}

  CREATE TABLE events (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id uuid NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    session_id text NOT NULL,
    event_type varchar(50) NOT NULL DEFAULT 'page_view',
    url text,
    country char(2),
    custom_data jsonb DEFAULT '{}',
    utm_params jsonb DEFAULT '{}',
    "timestamp" timestamptz NOT NULL DEFAULT now());
  CREATE INDEX idx_events_project_id ON events (project_id);
  CREATE INDEX idx_events_event_type ON events (event_type);
  CREATE INDEX idx_events_country ON events (country);
  CREATE INDEX idx_events_custom_data ON events USING gin (custom_data);
  CREATE INDEX idx_events_utm_params ON events USING gin (utm_params);
  COMMENT ON TABLE events IS 'raw analytics events';
  CREATE TRIGGER events_partitions BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION look_after_partitions('events');

  CREATE TABLE goal_completions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    goal_id uuid NOT NULL REFERENCES goals (id) ON DELETE CASCADE,
    session_id text NOT NULL,
    completion_data jsonb DEFAULT '{}',
    value numeric(10,2),
    "timestamp" timestamptz NOT NULL DEFAULT now());
  CREATE INDEX idx_goal_completions_goal_id ON goal_completions (goal_id);
  CREATE TRIGGER goal_completions_partitions BEFORE INSERT ON goal_completions
    FOR EACH ROW EXECUTE FUNCTION look_after_partitions('goal_completions');

  GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {app}`,
];

const rows = [
  `INSERT INTO projects SELECT ${project("n")}, 'site ' || n FROM generate_series(1, 8) n`,
  `INSERT INTO goals SELECT ${goal("n")}, ${project("n")}, 'goal ' || n FROM generate_series(1, 8) n`,
  /*sql*/ `
  INSERT INTO events SELECT md5('e' || g)::uuid, ${project("1 + g % 8")}, ${SESSION}, ${pick(["page_view", "click", "signup"], 2)},
         'https://x.example/' || g % 90, CASE WHEN g % 12 = 0 THEN NULL ELSE ${pick(["AR", "DE", "US", "JP"], 3)} END,
         CASE WHEN g % 5 = 0 THEN NULL ELSE jsonb_build_object('plan', g % 4, 'list', jsonb_build_array(g % 3)) END,
         jsonb_build_object('utm_source', 'src' || g % 6), ${at}
    FROM generate_series(1, ${ROWS}) g`,
  /*sql*/ `
  INSERT INTO goal_completions SELECT md5('c' || g)::uuid, ${goal("1 + g % 8")}, ${SESSION}, jsonb_build_object('n', g),
         CASE WHEN g % 3 = 0 THEN g * 0.5 END, ${at}
    FROM generate_series(1, ${ROWS}) g`,
];

const tables: SystemTable[] = [
  {
    table: '"public"."events"',
    options: { by: "timestamp", every: "month", leaf: "events_{YYYY}_{MM}", ahead: "6" },
    leaves: 12 + 6,
    golden: {
      events_2024_07: "2024-07-01 2024-08-01",
      events_2025_01: "2025-01-01 2025-02-01",
      events_2025_02: "2025-02-01 2025-03-01",
      events_2025_12: "2025-12-01 2026-01-01",
    },
    mine: "t.session_id = 'live'",
    insert: `(project_id, session_id, "timestamp") VALUES (${project("2")}, 'live', ${ANY})`,
    updates: [
      "custom_data = coalesce(t.custom_data, '{}') || '{\"x\": [1]}'",
      "country = 'BR'",
      `"timestamp" = ${ANY}`,
      `project_id = ${project("3")}`,
    ],
    queries: [
      "SELECT * FROM events WHERE timestamp >= '2025-01-01' AND timestamp < '2025-02-01'",
      `SELECT event_type, count(*) FROM events WHERE project_id = ${project("5")} AND session_id <> 'live' GROUP BY event_type`,
      "SELECT country, count(*) FROM events WHERE timestamp >= '2025-05-01' GROUP BY country",
      "SELECT id FROM events WHERE custom_data @> '{\"plan\": 3}' AND timestamp >= '2025-05-01'",
      "SELECT id FROM events WHERE utm_params ->> 'utm_source' = 'src1' AND timestamp >= '2025-05-01'",
    ],
    indexed: {
      "SELECT id FROM events WHERE custom_data @> '{\"plan\": 3}'": "idx_events_custom_data",
      'SELECT id FROM events WHERE utm_params @> \'{"utm_source": "src1"}\'': "idx_events_utm_params",
    },
    refusedByKey: ["UPDATE events SET project_id = gen_random_uuid() WHERE country = 'AR'"],
  },
  {
    table: '"public"."goal_completions"',
    options: { by: "timestamp", every: "month", leaf: "goal_completions_{YYYY}_{MM}", ahead: "6" },
    leaves: 12 + 6,
    golden: {
      goal_completions_2024_07: "2024-07-01 2024-08-01",
      goal_completions_2025_01: "2025-01-01 2025-02-01",
      goal_completions_2025_12: "2025-12-01 2026-01-01",
    },
    mine: "t.session_id = 'live'",
    insert: `(goal_id, session_id, "timestamp") VALUES (${goal("2")}, 'live', ${ANY})`,
    updates: ["value = coalesce(t.value, 0) + 1", `"timestamp" = ${ANY}`, "completion_data = NULL"],
    queries: [
      `SELECT * FROM goal_completions WHERE goal_id = ${goal("5")} AND timestamp >= '2025-05-01'`,
      "SELECT date_trunc('month', timestamp) AS month, sum(value) FROM goal_completions WHERE session_id <> 'live' GROUP BY 1",
    ],
    refusedByKey: ["UPDATE goal_completions SET goal_id = gen_random_uuid() WHERE session_id = 's1'"],
    back: true,
  },
];

export const analytics: System = { now: "2025-06-15T12:00:00Z", path: "public", schema, rows, tables };

/** The campaign SaaS on Rails: bigserial ids, timestamp(6) without default, jsonb under GIN, a hash by user. */
import { pick, ROWS, type System, type SystemTable, spread, within } from "../system.js";

const CLOCK = "2025-12-01 12:00";
const LIVE = ["2025-02-01", "2025-08-31"] as const;
const ANY = within(...LIVE);
const at = `CASE WHEN g % 10 = 0 THEN ${spread(...LIVE)} ELSE ${spread("2024-12-01 01:00", CLOCK)} END`;
/** A lead that others refer to: no client changes those that end in 1. */
const LEAD = "1 + 10 * floor(random() * 100)::int";
const USER = "100 + floor(random() * 50)::int";

const schema = [
  /*sql*/ `
  CREATE TABLE users (id bigserial PRIMARY KEY, email varchar NOT NULL, created_at timestamp(6) NOT NULL);
  CREATE UNIQUE INDEX index_users_on_email ON users (email);

  CREATE TABLE campaigns (
    id bigserial PRIMARY KEY,
    user_id bigint NOT NULL,
    title varchar NOT NULL,
    shared_settings jsonb NOT NULL DEFAULT '{}',
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL,
    CONSTRAINT fk_rails_campaigns_user FOREIGN KEY (user_id) REFERENCES users (id));
  CREATE INDEX index_campaigns_on_user_id ON campaigns (user_id);

  CREATE TABLE leads (
    id bigserial PRIMARY KEY,
    campaign_id bigint NOT NULL,
    name varchar NOT NULL,
    email varchar NOT NULL,
    company varchar,
    stage varchar NOT NULL DEFAULT 'queued',
    research jsonb NOT NULL DEFAULT '{}',
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL,
    CONSTRAINT fk_rails_leads_campaign FOREIGN KEY (campaign_id) REFERENCES campaigns (id));
  CREATE INDEX index_leads_on_campaign_id ON leads (campaign_id);
  CREATE INDEX index_leads_on_company ON leads (company);
  CREATE INDEX index_leads_on_research ON leads USING gin (research);
  CREATE INDEX idx_leads_active_stage ON leads (stage) WHERE stage IN ('queued', 'searched', 'written');
  COMMENT ON COLUMN leads.stage IS 'queued, searched, written, critiqued, completed';

  CREATE TABLE agent_outputs (
    id bigserial PRIMARY KEY,
    lead_id bigint NOT NULL,
    agent_name varchar NOT NULL,
    output_data jsonb NOT NULL DEFAULT '{}',
    status varchar NOT NULL DEFAULT 'pending',
    error_message text,
    created_at timestamp(6) NOT NULL,
    updated_at timestamp(6) NOT NULL,
    CONSTRAINT fk_rails_agent_outputs_lead FOREIGN KEY (lead_id) REFERENCES leads (id));
  CREATE INDEX index_agent_outputs_on_lead_id ON agent_outputs (lead_id);
  CREATE INDEX index_agent_outputs_on_output_data ON agent_outputs USING gin (output_data jsonb_path_ops);

  -- The alternative of the document: old rows apart, read together.
  CREATE TABLE leads_archive_2024 (LIKE leads);
  CREATE VIEW all_leads AS SELECT * FROM leads UNION ALL SELECT * FROM leads_archive_2024;
  COMMENT ON VIEW all_leads IS 'active and archived';

  GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {app};
  GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {app}`,
];

const rows = [
  "INSERT INTO users (email, created_at) SELECT g || '@saas.example', '2024-01-01' FROM generate_series(1, 200) g",
  /*sql*/ `
  INSERT INTO campaigns (user_id, title, shared_settings, created_at, updated_at)
  SELECT CASE WHEN g % 10 = 0 THEN 100 + g % 50 ELSE 1 + g % 90 END, CASE WHEN g % 10 = 0 THEN 'live' ELSE 'Campaign ' || g END,
         jsonb_build_object('tone', ${pick(["formal", "warm"])}), ${at}, ${at}
    FROM generate_series(1, ${ROWS}) g`,
  /*sql*/ `
  INSERT INTO leads (campaign_id, name, email, company, stage, research, created_at, updated_at)
  SELECT 1 + g % 100 * 10, 'Lead ' || g, g || '@x.example',
         CASE WHEN g % 10 = 0 THEN 'Live Ltd' ELSE ${pick(["Microsoft", "Acme", "Initech"])} END,
         ${pick(["queued", "searched", "written", "critiqued", "completed"], 3)}, jsonb_build_object('size', g % 100, 'tags', ARRAY['t' || g % 7]),
         ${at}, ${at}
    FROM generate_series(1, ${ROWS}) g`,
  /*sql*/ `
  INSERT INTO agent_outputs (lead_id, agent_name, output_data, status, error_message, created_at, updated_at)
  SELECT 1 + g % 100 * 10, CASE WHEN g % 10 = 0 THEN 'LIVE' ELSE ${pick(["SEARCH", "WRITER", "CRITIQUE"])} END,
         jsonb_build_object('score', g % 10, 'text', repeat('word ', g % 200)), ${pick(["completed", "pending"], 2)},
         CASE WHEN g % 17 = 0 THEN 'timeout' END, ${at}, ${at}
    FROM generate_series(1, ${ROWS}) g`,
  "INSERT INTO leads_archive_2024 SELECT * FROM leads WHERE id <= 5",
];

const tables: SystemTable[] = [
  {
    table: '"public"."leads"',
    options: { by: "created_at", every: "month", leaf: "leads_{YYYY}_{MM}", ahead: "6", incomingFk: "drop" },
    leaves: 13 + 6,
    golden: {
      leads_2024_12: "2024-12-01 2025-01-01",
      leads_2025_12: "2025-12-01 2026-01-01",
      leads_2026_06: "2026-06-01 2026-07-01",
    },
    mine: "t.company = 'Live Ltd'",
    insert: `(campaign_id, name, email, company, created_at, updated_at) VALUES (11, 'New', 'new@x', 'Live Ltd', ${ANY}, now())`,
    updates: [
      "stage = 'searched'",
      "research = t.research || '{\"found\": true}'",
      `created_at = ${ANY}`,
      "stage = 'completed'",
    ],
    besides: ['"public"."agent_outputs"', '"public"."campaigns"'],
    queries: [
      "SELECT * FROM leads WHERE created_at >= timestamp '2025-12-01 12:00' - interval '1 month'",
      "SELECT * FROM leads WHERE company = 'Microsoft'",
      "SELECT * FROM leads WHERE company = 'Microsoft' AND created_at >= timestamp '2025-12-01 12:00' - interval '1 month'",
      "SELECT id FROM leads WHERE stage IN ('queued', 'searched', 'written') AND company <> 'Live Ltd'",
      "SELECT id FROM leads WHERE research @> '{\"size\": 42}' AND company <> 'Live Ltd'",
      "SELECT * FROM all_leads WHERE created_at < '2025-01-01'",
    ],
    indexed: {
      "SELECT id FROM leads WHERE stage IN ('queued', 'searched', 'written')": "idx_leads_active_stage",
      "SELECT id FROM leads WHERE research @> '{\"size\": 42}'": "index_leads_on_research",
    },
    refusedByKey: ["UPDATE leads SET campaign_id = -1 WHERE id = 1"],
    back: true,
  },
  {
    table: '"public"."agent_outputs"',
    options: { by: "created_at", every: "month", leaf: "agent_outputs_{YYYY}_{MM}", ahead: "6" },
    leaves: 13 + 6,
    golden: {
      agent_outputs_2024_12: "2024-12-01 2025-01-01",
      agent_outputs_2026_06: "2026-06-01 2026-07-01",
    },
    mine: "t.agent_name = 'LIVE'",
    insert: `(lead_id, agent_name, created_at, updated_at) VALUES (${LEAD}, 'LIVE', ${ANY}, now())`,
    updates: [
      "status = 'completed'",
      "output_data = t.output_data || '{\"score\": 11}'",
      `created_at = ${ANY}`,
      `lead_id = ${LEAD}`,
    ],
    besides: ['"public"."leads"'],
    queries: [
      "SELECT * FROM agent_outputs WHERE lead_id = 21 AND agent_name <> 'LIVE'",
      "SELECT id FROM agent_outputs WHERE output_data @> '{\"score\": 3}' AND created_at >= '2025-11-01'",
    ],
    indexed: {
      "SELECT id FROM agent_outputs WHERE output_data @> '{\"score\": 3}'": "on_output_data",
    },
  },
  {
    table: '"public"."campaigns"',
    options: { by: "user_id", hash: "8", leaf: "campaigns_partition_{n}", incomingFk: "drop" },
    leaves: 8,
    golden: {
      campaigns_partition_0: "modulus 8, remainder 0",
      campaigns_partition_1: "modulus 8, remainder 1",
      campaigns_partition_7: "modulus 8, remainder 7",
    },
    mine: "t.title = 'live'",
    insert: `(user_id, title, created_at, updated_at) VALUES (${USER}, 'live', ${ANY}, now())`,
    updates: [
      "shared_settings = t.shared_settings || '{\"x\": 1}'",
      `user_id = ${USER}`,
      "updated_at = now()",
    ],
    besides: ['"public"."leads"'],
    queries: ["SELECT * FROM campaigns WHERE user_id = 7", "SELECT * FROM campaigns WHERE id IN (1, 501)"],
    refusedByKey: ["UPDATE campaigns SET user_id = -1 WHERE id = 1"],
  },
];

export const campaigns: System = { now: "2025-12-01T12:00:00Z", path: "public", schema, rows, tables };

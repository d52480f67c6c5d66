/** Analytics-Pulse's two tables in care, a clock of the test's own, and the service on a port that is free. */
import { z } from "zod";
import { adopt } from "../../src/care.js";
import type { Session } from "../../src/pg/session.js";
import { type ServeEvent, type Service, startService } from "../../src/serve/service.js";
import type { ServeSettings } from "../../src/serve/settings.js";
import { newToken } from "../../src/serve/tokens.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";

export const NOW = "2025-01-01T02:00:00.000Z";

const table = (name: string) => /*sql*/ `
CREATE TABLE public.${name} (id uuid NOT NULL DEFAULT gen_random_uuid(), "timestamp" timestamptz NOT NULL,
  note text, PRIMARY KEY (id, "timestamp")) PARTITION BY RANGE ("timestamp");
DO $$ BEGIN FOR n IN 0..14 LOOP
  EXECUTE format('CREATE TABLE public.%I PARTITION OF public.${name} FOR VALUES FROM (%L) TO (%L)',
    to_char(date '2023-11-01' + make_interval(months => n), '"${name}_"YYYY_MM'),
    date '2023-11-01' + make_interval(months => n), date '2023-12-01' + make_interval(months => n));
END LOOP; END $$;
INSERT INTO public.${name} ("timestamp", note)
SELECT timestamptz '2023-11-02 00:00+00' + make_interval(days => n * 10), 'n' FROM generate_series(0, 41) AS n`;

/** 15 monthly leaves of each, November 2023 to January 2025; 12 months are kept. */
export async function analyticsDatabase(): Promise<{ db: TestDatabase; session: Session }> {
  const db = await freshDatabase();
  const session = await db.session();
  await session.query(table("events"));
  await session.query(table("goal_completions"));
  const policy = { ahead: 6, retention: "12mo", expired: "drop" } as const;
  await adopt({ url: db.ownerUrl, tables: ["events", "goal_completions"], policy });
  return { db, session };
}

export async function leavesOf(session: Session, name: string): Promise<string[]> {
  const Leaf = z.object({ name: z.string() });
  const rows = await session.rows(
    Leaf,
    `SELECT c.relname::text AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = $1::regclass ORDER BY 1`,
    [`public.${name}`],
  );
  return rows.map((leaf) => leaf.name);
}

const ops = newToken("ops", "write");
const look = newToken("look", "read");
export const TOKENS = { write: ops.token, read: look.token };

export function settingsOf(changed: Partial<ServeSettings> = {}): ServeSettings {
  return {
    ...{ host: "127.0.0.1", port: 0, tokens: [ops.kept, look.kept], jobs: [], catchUp: true },
    ...{ schedulerOff: null, perMinute: 100_000 },
    ...changed,
  };
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  json: unknown;
}

export interface Running extends Service {
  events: ServeEvent[];
  ask(
    path: string,
    how?: { token?: string | null; body?: unknown; method?: string; headers?: Record<string, string> },
  ): Promise<Answer>;
}

/** `clock: null`: the database's. */
export async function started(
  url: string,
  changed: Partial<ServeSettings> = {},
  clock: string | null = NOW,
): Promise<Running> {
  const events: ServeEvent[] = [];
  const service = await startService({
    ...{ url, settings: settingsOf(changed), tell: (event: ServeEvent) => void events.push(event) },
    clock: clock === null ? undefined : () => Promise.resolve(new Date(clock)),
  });
  return {
    ...service,
    events,
    ask: async (path, { token = TOKENS.write, body, method, headers = {} } = {}) => {
      const response = await fetch(`${service.url}${path}`, {
        method: method ?? (body === undefined ? "GET" : "POST"),
        headers: {
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      const isJson = response.headers.get("content-type")?.startsWith("application/json") === true;
      return {
        ...{ status: response.status, headers: response.headers, text },
        json: isJson ? JSON.parse(text) : null,
      };
    },
  };
}

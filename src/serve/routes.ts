/** The paths of the API: what the application answers, the OpenAPI document says and a 405 names. */
import type { z } from "zod";
import {
  BODY,
  HealthAnswer,
  ListAnswer,
  ListQuery,
  NoQuery,
  StatusAnswer,
  UpkeepAnswer,
  WorkAnswer,
} from "./shapes.js";

export const BASE = "/api/v1/partitions";

export interface Route {
  method: "GET" | "POST";
  path: string;
  summary: string;
  answer: z.ZodType;
  query?: z.ZodObject;
  body?: z.ZodObject;
}

export const ROUTES = {
  health: {
    ...{ method: "GET", path: `${BASE}/health`, query: NoQuery, answer: HealthAnswer },
    summary: "How the tables in care are",
  },
  list: {
    ...{ method: "GET", path: `${BASE}/list`, query: ListQuery, answer: ListAnswer },
    summary: "Their partitions, or those of one table",
  },
  status: {
    ...{ method: "GET", path: `${BASE}/status`, query: NoQuery, answer: StatusAnswer },
    summary: "The scheduler and the last run of each job",
  },
  maintenance: {
    ...{ method: "POST", path: `${BASE}/maintenance`, body: BODY.maintenance, answer: WorkAnswer },
    summary: "Makes partitions ahead, analyzes, retires what is expired; only with dryRun false",
  },
  create: {
    ...{ method: "POST", path: `${BASE}/create`, body: BODY.create, answer: WorkAnswer },
    summary: "Makes partitions ahead",
  },
  analyze: {
    ...{ method: "POST", path: `${BASE}/analyze`, body: BODY.analyze, answer: UpkeepAnswer },
    summary: "ANALYZE of every partition and of the table",
  },
  vacuum: {
    ...{ method: "POST", path: `${BASE}/vacuum`, body: BODY.vacuum, answer: UpkeepAnswer },
    summary: "VACUUM of every partition",
  },
  cleanup: {
    ...{ method: "POST", path: `${BASE}/cleanup`, body: BODY.cleanup, answer: WorkAnswer },
    summary: "Archives, detaches or drops expired partitions, as the policy says; only with dryRun false",
  },
} as const satisfies Record<string, Route>;

/** What else is answered, by GET. */
export const PAGES = ["/", "/metrics", "/openapi.json", "/healthz"] as const;

/** The method that a path takes; null: there is no such path. */
export function methodOf(path: string): "GET" | "POST" | null {
  if (PAGES.some((page) => page === path)) return "GET";
  return Object.values(ROUTES).find((route) => route.path === path)?.method ?? null;
}

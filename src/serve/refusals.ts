/** Every refusal of the service: a status, a code that stays, and what to do. Nothing else is said to who calls. */
import type { z } from "zod";
import { MaintenanceBusy } from "../care/alone.js";
import { messageOf, PartwayError, UnknownTable } from "../errors.js";
import { redact } from "../log.js";
import { CannotConnect } from "../pg/connect-failure.js";
import { ConnectionLost } from "../pg/session.js";
import { TooMany } from "./limits.js";

export const REFUSALS = {
  "bad-request": 400,
  "no-token": 401,
  "wrong-token": 401,
  "read-only-token": 403,
  "unknown-path": 404,
  "unknown-table": 404,
  "wrong-method": 405,
  "maintenance-busy": 409,
  refused: 409,
  "lock-busy": 409,
  "body-too-large": 413,
  "not-json": 415,
  "too-many-requests": 429,
  unexpected: 500,
  "database-unreachable": 503,
  "too-busy": 503,
  stopping: 503,
} as const;
export type RefusalCode = keyof typeof REFUSALS;

export interface Refusal {
  code: RefusalCode;
  /** What happened. */
  message: string;
  /** What state things are in. */
  state: string;
  /** What to do. */
  next: string;
  /** Of a body or a query. */
  fields?: { field: string; message: string }[];
  /** Seconds. */
  retryAfter?: number;
}

export const UNTOUCHED = "Nothing was touched.";

/** What a schema has against what was sent. `where`: body or query. */
export function malformed(where: "body" | "query", error: z.ZodError): Refusal {
  const fields = error.issues.flatMap((issue) => {
    const path = issue.path.map(String);
    if (issue.code === "unrecognized_keys")
      return issue.keys.map((key) => ({
        field: [...path, key].join("."),
        message: "there is no such field",
      }));
    return [{ field: path.join(".") || `the whole ${where}`, message: issue.message }];
  });
  return {
    code: "bad-request",
    message: fields.map(({ field, message }) => `${field}: ${message}`).join("; "),
    ...{ state: UNTOUCHED, next: "GET /openapi.json says what is taken.", fields },
  };
}

/** Whatever the work threw. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof TooMany)
    return {
      ...{ code: "too-busy", message: error.message, state: UNTOUCHED, retryAfter: 1 },
      next: "Send it again later.",
    };
  if (error instanceof CannotConnect || isLost(error))
    return {
      code: "database-unreachable",
      message: redact(messageOf(error)),
      state: isLost(error) ? "Unknown: what was committed stays, the rest is rolled back." : UNTOUCHED,
      ...{ next: "Send it again when the database answers.", retryAfter: 10 },
    };
  if (!(error instanceof PartwayError))
    return {
      ...{ code: "unexpected", message: redact(messageOf(error)) },
      ...{ state: "Unknown: this error was not foreseen.", next: "The service's own output says more." },
    };
  const { code, retryAfter } = codeOf(error);
  return {
    ...{ code, message: redact(error.message), state: redact(error.state), next: redact(error.next) },
    ...(retryAfter === undefined ? {} : { retryAfter }),
  };
}

/** Also where it was explained, with the loss as its cause. */
function isLost(error: unknown): boolean {
  return error instanceof ConnectionLost || (error instanceof Error && error.cause instanceof ConnectionLost);
}

function codeOf(error: PartwayError): { code: RefusalCode; retryAfter?: number } {
  if (error instanceof UnknownTable) return { code: "unknown-table" };
  if (error instanceof MaintenanceBusy) return { code: "maintenance-busy", retryAfter: 30 };
  switch (error.kind) {
    case "bad-input":
      return { code: "bad-request" };
    case "lock-busy":
      return { code: "lock-busy", retryAfter: 60 };
    case "refused":
      return { code: "refused" };
    case "stopped":
      return { code: "stopping", retryAfter: 10 };
    default:
      return { code: "unexpected" };
  }
}

/** The HTTP application: who may, what is asked, and the answer or the refusal. Knows nothing of sockets or schedules. */
import type { HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import type { z } from "zod";
import type { MaintainOutcome } from "../care.js";
import type { PartwayError } from "../errors.js";
import { fired } from "../sync/drain.js";
import type { UpkeepOutcome } from "../upkeep.js";
import type { Desk } from "./desk.js";
import { Gate, RateLimit } from "./limits.js";
import { openApi } from "./openapi.js";
import { CSP, pageOf } from "./page.js";
import { malformed, REFUSALS, type Refusal, refusalOf, UNTOUCHED } from "./refusals.js";
import { methodOf, ROUTES } from "./routes.js";
import { BODY, ListQuery, NoQuery } from "./shapes.js";
import { holderOf, presentedIn, type Token } from "./tokens.js";

export interface Asked {
  method: string;
  /** One of ours, or `other`: nothing that a stranger chose. */
  route: string;
  status: number;
  seconds: number;
  /** Whose token it was. */
  token: string | null;
}

export interface AppOptions {
  desk: Desk;
  tokens: readonly Token[];
  /** Of each token. */
  perMinute: number;
  stopping(): boolean;
  metrics(): Promise<{ type: string; text: string }>;
  /** After each answer. */
  told(asked: Asked): void;
  /** What was not foreseen. */
  trouble(error: unknown): void;
  /** Of the service, for the page. */
  server: string;
}

type Env = { Bindings: HttpBindings; Variables: { token?: Token } };

export const BODY_BYTES = 64 * 1024;
/** A body must have come whole by then, ms: once the server closes, nothing else bounds it. */
const BODY_MS = 10_000;
/** Requests that use the database, at a time and waiting. */
const AT_ONCE = 4;
const WAITING = 32;
/** Wrong tokens a minute from one address, and what needs none. */
const STRANGERS_PER_MINUTE = 30;

export function buildApp(options: AppOptions): Hono<Env> {
  const app = new Hono<Env>();
  const { desk } = options;
  const gate = new Gate(AT_ONCE, WAITING);
  const strangers = new RateLimit(STRANGERS_PER_MINUTE);
  const limit = new RateLimit(options.perMinute);

  app.use(async (c, next) => {
    const from = performance.now();
    await next();
    for (const [name, value] of Object.entries(HEADERS)) c.res.headers.set(name, value);
    options.told({
      ...{ method: c.req.method, route: methodOf(c.req.path) === null ? "other" : c.req.path },
      ...{
        status: c.res.status,
        seconds: (performance.now() - from) / 1000,
        token: c.get("token")?.name ?? null,
      },
    });
  });
  app.use(async (c, next) => {
    if (!options.stopping()) return next();
    c.header("connection", "close");
    const next_ = "Send it again when the service is back.";
    return refuse(c, {
      code: "stopping",
      message: "the service is stopping",
      state: UNTOUCHED,
      next: next_,
      retryAfter: 10,
    });
  });

  /** Null: let in. */
  const doorkeeper = (c: Context<Env>, basic: boolean): Response | null => {
    const presented = presentedIn(c.req.header("authorization"), basic);
    const holder = presented === null ? null : holderOf(presented, options.tokens);
    if (holder === null) {
      const wait = strangers.take(addressOf(c));
      if (wait > 0) return refuse(c, tooMany(wait));
      c.header(
        "www-authenticate",
        basic ? 'Basic realm="partway", charset="UTF-8"' : 'Bearer realm="partway"',
      );
      const next = basic
        ? "Authorization: Bearer <token>; or, in a browser, the token as the password of any name."
        : "Authorization: Bearer <token>; partway token makes one.";
      return presented === null
        ? refuse(c, { code: "no-token", message: "a token is needed", state: UNTOUCHED, next })
        : refuse(c, { code: "wrong-token", message: "this token is not known here", state: UNTOUCHED, next });
    }
    c.set("token", holder);
    const wait = limit.take(holder.name);
    return wait > 0 ? refuse(c, tooMany(wait)) : null;
  };
  const guarded = (basic: boolean) => async (c: Context<Env>, next: () => Promise<void>) =>
    doorkeeper(c, basic) ?? (await next());
  const open = async (c: Context<Env>, next: () => Promise<void>) => {
    const wait = strangers.take(`open ${addressOf(c)}`);
    return wait > 0 ? refuse(c, tooMany(wait)) : next();
  };

  app.use("/api/*", guarded(false));
  app.use("/", guarded(true));
  app.use("/metrics", guarded(true));
  app.use("/healthz", open);
  app.use("/openapi.json", open);

  app.get(ROUTES.health.path, (c) => asked(c, NoQuery, () => gate.through(() => desk.health())));
  app.get(ROUTES.list.path, (c) => asked(c, ListQuery, ({ table }) => gate.through(() => desk.list(table))));
  app.get(ROUTES.status.path, (c) => asked(c, NoQuery, () => gate.through(() => desk.status())));

  app.post(ROUTES.maintenance.path, (c) =>
    worked(
      c,
      BODY.maintenance,
      ({ dryRun }) => !dryRun,
      async (body) => workAnswer(c, body.dryRun, await gate.through(() => desk.maintenance(body))),
    ),
  );
  app.post(ROUTES.create.path, (c) =>
    worked(
      c,
      BODY.create,
      ({ dryRun }) => !dryRun,
      async (body) => workAnswer(c, body.dryRun, await gate.through(() => desk.create(body))),
    ),
  );
  app.post(ROUTES.cleanup.path, (c) =>
    worked(
      c,
      BODY.cleanup,
      ({ dryRun }) => !dryRun,
      async (body) => workAnswer(c, body.dryRun, await gate.through(() => desk.cleanup(body))),
    ),
  );
  app.post(ROUTES.analyze.path, (c) =>
    worked(
      c,
      BODY.analyze,
      () => true,
      async (body) => upkeepAnswer(c, await gate.through(() => desk.analyze(body))),
    ),
  );
  app.post(ROUTES.vacuum.path, (c) =>
    worked(
      c,
      BODY.vacuum,
      () => true,
      async (body) => upkeepAnswer(c, await gate.through(() => desk.vacuum(body))),
    ),
  );

  app.get("/", async (c) => {
    c.header("content-security-policy", CSP);
    return c.html(pageOf(await gate.through(() => desk.overview()), options.server));
  });
  app.get("/metrics", async (c) => {
    const { type, text } = await options.metrics();
    return c.body(text, 200, { "content-type": type });
  });
  app.get("/openapi.json", (c) => c.json(openApi()));
  app.get("/healthz", (c) => c.json({ ok: true }));

  app.notFound((c) => {
    const method = methodOf(c.req.path);
    if (method === null)
      return refuse(c, {
        ...{ code: "unknown-path", message: "there is no such path", state: UNTOUCHED },
        next: "GET /openapi.json lists them.",
      });
    c.header("allow", method === "GET" ? "GET, HEAD" : method);
    return refuse(c, {
      ...{ code: "wrong-method", message: `this path takes ${method}`, state: UNTOUCHED },
      next: `Send it as ${method}.`,
    });
  });
  app.onError((error, c) => {
    const refusal = refusalOf(error);
    if (refusal.code === "unexpected") options.trouble(error);
    return refuse(c, refusal);
  });
  return app;
}

const HEADERS = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
} as const;

const TOO_LARGE: Refusal = {
  ...{
    code: "body-too-large",
    message: `a body has ${BODY_BYTES} bytes at most, and comes within ${BODY_MS / 1000} s`,
    state: UNTOUCHED,
  },
  next: "Send what GET /openapi.json describes, and nothing else.",
};

function tooMany(seconds: number): Refusal {
  return {
    ...{ code: "too-many-requests", message: "too many requests in a minute", state: UNTOUCHED },
    ...{ next: `Wait ${seconds} s.`, retryAfter: seconds },
  };
}

function refuse(c: Context, { retryAfter, code, ...error }: Refusal, more: object = {}): Response {
  if (retryAfter !== undefined) c.header("retry-after", String(retryAfter));
  return c.json({ error: { code, ...error }, ...more }, REFUSALS[code]);
}

async function asked<Q extends z.ZodObject>(
  c: Context<Env>,
  schema: Q,
  work: (query: z.output<Q>) => Promise<object>,
): Promise<Response> {
  const twice = Object.entries(c.req.queries()).find(([, values]) => values.length > 1)?.[0];
  const parsed = schema.safeParse(c.req.query());
  if (!parsed.success) return refuse(c, malformed("query", parsed.error));
  if (twice !== undefined)
    return refuse(c, {
      ...{ code: "bad-request", message: `${twice}: stands twice`, state: UNTOUCHED },
      ...{ next: "Give it once.", fields: [{ field: twice, message: "stands twice" }] },
    });
  return c.json(await work(parsed.data));
}

/** `changes`: whether this body asks for a change, which a read token may not. */
async function worked<B extends z.ZodObject>(
  c: Context<Env>,
  schema: B,
  changes: (body: z.output<B>) => boolean,
  work: (body: z.output<B>) => Promise<Response>,
): Promise<Response> {
  const text = await bodyOf(c.req.raw);
  if (text === null) {
    c.header("connection", "close");
    return refuse(c, TOO_LARGE);
  }
  const isJson = /^application\/json\s*(;|$)/i.test(c.req.header("content-type") ?? "");
  if (text !== "" && !isJson)
    return refuse(c, {
      ...{ code: "not-json", message: "the body is not said to be JSON", state: UNTOUCHED },
      next: "Content-Type: application/json",
    });
  let sent: unknown;
  try {
    sent = text === "" ? {} : JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return refuse(c, {
      ...{ code: "bad-request", message: "the body is not JSON", state: UNTOUCHED },
      next: 'Send an object, such as {"table": "events"}.',
    });
  }
  const parsed = schema.safeParse(sent);
  if (!parsed.success) return refuse(c, malformed("body", parsed.error));
  if (changes(parsed.data) && c.get("token")?.scope !== "write")
    return refuse(c, {
      ...{ code: "read-only-token", message: "this token may only read", state: UNTOUCHED },
      next: 'Use a token whose scope is "write"; with dryRun true maintenance, create and cleanup only tell.',
    });
  return work(parsed.data);
}

/** Null: it is longer than a body may be, whatever its header said, or does not come. */
async function bodyOf({ body }: Request): Promise<string | null> {
  if (body === null) return "";
  const pieces: Uint8Array[] = [];
  let size = 0;
  const late = AbortSignal.timeout(BODY_MS);
  for (const reader = body.getReader(); ; ) {
    const piece = await Promise.race([reader.read(), fired(late)]);
    if (piece === undefined) {
      await reader.cancel();
      return null;
    }
    const { done, value } = piece;
    if (done) return Buffer.concat(pieces).toString("utf8");
    size += value.byteLength;
    if (size > BODY_BYTES) {
      await reader.cancel();
      return null;
    }
    pieces.push(value);
  }
}

/** A table that failed makes the answer a refusal; what was done is told all the same. */
function workAnswer(c: Context<Env>, dryRun: boolean, outcomes: readonly MaintainOutcome[]): Response {
  const reports = outcomes.flatMap((one) => ("error" in one ? (one.done ?? []) : one));
  const failed = outcomes.flatMap((one) => ("error" in one ? [one.error] : []));
  return answered(c, failed, { dryRun, tables: reports });
}

function upkeepAnswer(c: Context<Env>, outcomes: readonly UpkeepOutcome[]): Response {
  const failed = outcomes.flatMap(({ error }) => error ?? []);
  return answered(c, failed, { tables: outcomes.map(({ error, ...report }) => report) });
}

function answered(c: Context<Env>, failed: readonly PartwayError[], answer: object): Response {
  const [first] = failed;
  return first === undefined ? c.json(answer) : refuse(c, refusalOf(first), answer);
}

function addressOf(c: Context<Env>): string {
  return c.env.incoming.socket.remoteAddress ?? "gone";
}

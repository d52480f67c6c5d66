/** The running service: socket, application, scheduler, and their common end. Loaded only when `partway serve` runs. */
import { createServer, type Server } from "node:http";
import { hostname } from "node:os";
import { getRequestListener } from "@hono/node-server";
import { targetOf, withSession } from "../api.js";
import { badInput, messageOf } from "../errors.js";
import { listening } from "../listen.js";
import { redact } from "../log.js";
import { CannotConnect } from "../pg/connect-failure.js";
import type { Session } from "../pg/session.js";
import { describeTarget, type Target } from "../pg/target.js";
import { type Asked, buildApp } from "./app.js";
import { clockText, Desk } from "./desk.js";
import { runJob } from "./jobs.js";
import { ServiceMetrics } from "./metrics.js";
import { UNTOUCHED } from "./refusals.js";
import { Scheduler, type SchedulerEvent } from "./scheduler.js";
import type { ServeSettings } from "./settings.js";

export type ServeEvent =
  | SchedulerEvent
  | { event: "listening"; url: string; database: string; jobs: number; scheduler: string }
  | { event: "warning"; message: string }
  | ({ event: "request" } & Asked)
  | { event: "trouble"; message: string }
  | { event: "stopping" }
  | { event: "stopped" };

export interface ServiceOptions {
  url: string | undefined;
  settings: ServeSettings;
  tell(event: ServeEvent): void;
  /** Instead of the database's clock, for tests. */
  clock?: ((session: Session) => Promise<Date>) | undefined;
}

export interface Service {
  /** Where it answers. */
  url: string;
  /** No new requests; what is at work ends, or is withdrawn at a safe point. */
  stop(): Promise<void>;
}

/** A request must have come whole by then, ms. */
const REQUEST_MS = 10_000;
const CONNECTIONS = 128;
/** At the end: what is still connected when nothing has been at work so long is cut, ms. */
const QUIET_MS = 2_000;

/** Errors: bad-input when the address cannot be had, or it cannot be said where to connect. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { url, settings, tell, clock } = options;
  const target = await targetOf({ url });
  await assertAdmitted(target, (message) => tell({ event: "warning", message }));
  const metrics = new ServiceMetrics();
  const ending = new AbortController();
  const runner = `${hostname()}:${process.pid}`;
  const onJob = (event: SchedulerEvent) => {
    if (event.event === "job:ended") metrics.ended(event.job, event.outcome);
    tell(event);
  };
  const nowText = async (): Promise<string | undefined> => {
    if (clock === undefined) return undefined;
    return clockText(new Date((await desk.status()).now));
  };
  // What an archive has left at its place, and nobody removes.
  const onNote = (leaf: string, note: string) => tell({ event: "warning", message: `${leaf}: ${note}` });
  const { jobs, catchUp } = settings;
  const scheduler = new Scheduler({
    ...{ target, catchUp, jobs, runner, clock, tell: onJob },
    run: async (job, signal) => runJob(job, { url, now: await nowText(), onNote }, signal),
  });
  const desk = new Desk({
    ...{ target, url, clock, signal: ending.signal, onNote },
    settings,
    running: () => scheduler.running,
  });
  const app = buildApp({
    desk,
    tokens: settings.tokens,
    perMinute: settings.perMinute,
    stopping: () => ending.signal.aborted,
    metrics: async () => {
      const overview = await desk.overview().catch((error: unknown) => {
        tell({ event: "trouble", message: redact(messageOf(error)) });
        return null;
      });
      return { type: metrics.contentType, text: await metrics.text(overview) };
    },
    told: (asked) => {
      metrics.answered(asked);
      tell({ event: "request", ...asked });
    },
    trouble: (error) => tell({ event: "trouble", message: redact(messageOf(error)) }),
    server: describeTarget(target),
  });
  let atWork = 0;
  const counted = async (...of: Parameters<typeof app.fetch>): Promise<Response> => {
    atWork += 1;
    try {
      return await app.fetch(...of);
    } finally {
      atWork -= 1;
    }
  };
  const server = createServer(
    {
      requestTimeout: REQUEST_MS,
      headersTimeout: REQUEST_MS,
      maxHeaderSize: 16_384,
      keepAliveTimeout: 5_000,
    },
    getRequestListener(counted, { overrideGlobalObjects: false, errorHandler: unreadable }),
  );
  server.maxConnections = CONNECTIONS;
  const at = await listen(server, settings);
  const off = settings.schedulerOff;
  tell({
    ...{ event: "listening", url: at, database: describeTarget(target), jobs: settings.jobs.length },
    scheduler: off === null ? "on" : `disabled (${off})`,
  });
  if (!/^(127\.|localhost$|::1$)/.test(settings.host))
    tell({
      event: "warning",
      message: `${settings.host} may be reached from elsewhere, and tokens travel in the clear: put a proxy with TLS in front`,
    });
  if (off === null) scheduler.start();
  return {
    url: at,
    stop: async () => {
      if (ending.signal.aborted) return;
      tell({ event: "stopping" });
      ending.abort(new Error("the service is stopping"));
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // A connection whose last answer is out would stay open for another request.
      let quietSince: number | null = null;
      const idle = setInterval(() => {
        server.closeIdleConnections();
        quietSince = atWork > 0 ? null : (quietSince ?? performance.now());
        // One that never sends its request, or never takes its answer, would be waited for without an end.
        if (quietSince !== null && performance.now() - quietSince > QUIET_MS) server.closeAllConnections();
      }, 100);
      await Promise.all([closed.finally(() => clearInterval(idle)), scheduler.stop()]);
      tell({ event: "stopped" });
    },
  };
}

/** For what does not come as far as the application: a request without a sensible host or path. */
function unreadable(): Response {
  const error = {
    ...{ code: "bad-request", message: "the request cannot be read", state: UNTOUCHED },
    next: "Look at its path and its Host header.",
  };
  return globalThis.Response.json({ error }, { status: 400 });
}

/** A server that is away may come back; one that will never let us in is told now. Errors: as `Session.open`. */
async function assertAdmitted(target: Target, warn: (message: string) => void): Promise<void> {
  try {
    await withSession(target, () => Promise.resolve());
  } catch (error) {
    if (!(error instanceof CannotConnect) || !error.passes) throw error;
    warn(`${error.message}; it is tried again`);
  }
}

/** Gives the URL. Errors: bad-input. */
async function listen(server: Server, { host, port }: ServeSettings): Promise<string> {
  const shown = host.includes(":") ? `[${host}]` : host;
  await listening(server, host, port).catch((error: unknown) => {
    throw badInput(
      `cannot listen on ${shown}:${port}: ${messageOf(error)}`,
      "Give another --port or --host, or end what listens there.",
      error,
    );
  });
  server.on("error", (error) => process.emitWarning(`serve: ${messageOf(error)}`));
  const bound = server.address();
  return `http://${shown}:${typeof bound === "object" && bound !== null ? bound.port : port}`;
}

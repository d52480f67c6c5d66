/** Serves /metrics over HTTP, apart from the run: it holds no connection of the run's and never keeps the process alive. */
import { createServer, type RequestListener } from "node:http";
import { isIPv6 } from "node:net";
import { badInput, messageOf } from "../errors.js";
import { listening } from "../listen.js";
import type { Exposition } from "./exposition.js";

export interface Address {
  host: string;
  /** 0: one that is free. */
  port: number;
}

const REMEDY = "For example --metrics :9187, or --metrics 0.0.0.0:9187 to be reached from other machines.";

/** `:9187`, `9187`, `0.0.0.0:9187`, `[::1]:9187`. Without a host only this machine is answered. Errors: bad-input. */
export function parseAddress(text: string): Address {
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]*)):)?(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[3] ?? Number.NaN);
  const [, six, name] = match ?? [];
  if (!(port <= 65_535) || (six !== undefined && !isIPv6(six)))
    throw badInput(`--metrics: "${text}" is not [host]:port`, REMEDY);
  return { host: six ?? (name === undefined || name === "" ? "127.0.0.1" : name), port };
}

export interface MetricsServer {
  /** Where it answers, as a URL. */
  url: string;
  close(): void;
}

/** Errors: bad-input when the address cannot be had. */
export async function serveMetrics(exposition: Exposition, address: Address): Promise<MetricsServer> {
  const server = createServer(answer(exposition));
  server.maxConnections = 32;
  server.unref();
  const { host, port } = address;
  await listening(server, host, port).catch((error: unknown) => {
    throw badInput(
      `--metrics: cannot listen on ${written(host)}:${port}: ${messageOf(error)}`,
      REMEDY,
      error,
    );
  });
  // What goes wrong from here on is between the server and who asks it; the run goes on.
  server.on("error", (error) => process.emitWarning(`metrics: ${messageOf(error)}`));
  const bound = server.address();
  const at = typeof bound === "object" && bound !== null ? bound.port : port;
  return {
    url: `http://${written(host)}:${at}/metrics`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

const written = (host: string): string => (host.includes(":") ? `[${host}]` : host);

function answer(exposition: Exposition): RequestListener {
  return (request, response) => {
    const say = (status: number, type: string, text: string) => {
      response.writeHead(status, { "content-type": type }).end(text);
    };
    const path = request.url?.split("?")[0];
    if (request.method !== "GET" && request.method !== "HEAD") return say(405, "text/plain", "GET only\n");
    if (path !== "/metrics") return say(404, "text/plain", "See /metrics\n");
    exposition.text().then(
      (text) => say(200, exposition.contentType, text),
      (error: unknown) => say(500, "text/plain", `${messageOf(error)}\n`),
    );
  };
}

/** The service for the care of partitions, and the tokens of who may call it. */
import { type Command, Option } from "commander";
import { oneLine, plural } from "../../ui/format.js";
import { SCOPES, type Scope, serveSchema } from "../config/serve.js";
import { badInput, EXIT } from "../errors.js";
import type { ServeEvent } from "../serve/service.js";
import { newToken } from "../serve/tokens.js";
import { type ServeOptions, serve } from "../serve.js";
import type { Act } from "./act.js";
import { example, withConnection, withJson } from "./options.js";

export function serveCommands(program: Command, act: Act): void {
  serveCommand(program, act);
  tokenCommand(program, act);
}

function serveCommand(program: Command, act: Act): void {
  const command = program
    .command("serve")
    .description(
      "cares for the tables in care on a schedule, and answers over HTTP: API, metrics, status page; until SIGTERM or Ctrl-C",
    )
    .option("--host <host>", "where to listen (default 127.0.0.1: this machine alone)")
    .option("--port <port>", "the port (default 3001)")
    .option("--apply", "jobs that do not say may detach and drop what is expired, as their policies say")
    .option("--config <file>", "configuration file (default: partway.config.* in this folder)");
  withJson(withConnection(command));
  example(command, "partway serve --config partway.config.json", "partway serve --port 3001 --apply");
  command.action((options: Omit<ServeOptions, "onEvent"> & { json?: boolean }) =>
    act(options, async () => {
      const onEvent = (event: ServeEvent) => {
        const at = new Date().toISOString();
        const line = options.json === true ? JSON.stringify({ at, ...event }) : `${at} ${lineOf(event)}`;
        process.stdout.write(`${line}\n`);
      };
      const asked = untilAsked();
      const service = await serve({ ...options, onEvent });
      await asked;
      await service.stop();
      return EXIT.done;
    }),
  );
}

/** Resolves on SIGTERM, SIGINT or when the terminal is gone. Later ones change nothing: the end is under way. */
function untilAsked(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => resolve());
  });
}

function lineOf(event: ServeEvent): string {
  switch (event.event) {
    case "listening":
      return `listening on ${event.url}, for ${event.database}; ${plural(event.jobs, "job")}, scheduler ${event.scheduler}`;
    case "request": {
      const { method, route, status, seconds, token } = event;
      return `${oneLine(method)} ${route} ${status} ${Math.round(seconds * 1000)} ms${token === null ? "" : `, ${token}`}`;
    }
    case "job:started":
      return `job ${event.job}, due ${event.scheduledFor}: started${event.attempt > 1 ? `, try ${event.attempt}` : ""}`;
    case "job:ended":
      return `job ${event.job}, due ${event.scheduledFor}: ${event.outcome}; ${oneLine(event.message)}`;
    case "job:withdrawn":
      return `job ${event.job}, due ${event.scheduledFor}: withdrawn; it is taken up again`;
    case "scheduler:trouble":
      return `scheduler: ${oneLine(event.message)}; tried again`;
    case "warning":
    case "trouble":
      return `${event.event}: ${oneLine(event.message)}`;
    case "stopping":
      return "stopping: what is at work ends, or is withdrawn at a safe point";
    case "stopped":
      return "stopped";
  }
}

function tokenCommand(program: Command, act: Act): void {
  const command = program
    .command("token <name>")
    .description("makes a token for partway serve: shows it once, and the entry for the configuration file")
    .addOption(
      new Option("--scope <scope>", "read, or write: may change something (default read)").choices([
        ...SCOPES,
      ]),
    );
  withJson(command);
  example(command, "partway token ops --scope write");
  command.action((name: string, options: { scope?: Scope; json?: boolean }) =>
    act(options, async () => {
      const { token, kept } = newToken(name, options.scope ?? "read");
      const parsed = serveSchema.safeParse({ tokens: [kept] });
      if (!parsed.success)
        throw badInput(
          `${name} is no name for a token: ${parsed.error.issues[0]?.message}`,
          "For example: ops",
        );
      if (options.json === true) process.stdout.write(`${JSON.stringify({ token, entry: kept })}\n`);
      else
        process.stdout.write(
          `token  ${token}\n       shown this once; send it as Authorization: Bearer <token>\nentry  ${JSON.stringify(kept)}\n       for serve.tokens of the configuration file\n`,
        );
      return EXIT.done;
    }),
  );
}

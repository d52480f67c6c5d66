/** `partway smoke`: runs the smoke checks and says loudly when one fails. */
import type { Command } from "commander";
import { EXIT } from "../errors.js";
import { type SmokeOptions, smoke } from "../smoke.js";
import type { Act } from "./act.js";
import { example, withConnection, withJson, withState } from "./options.js";

type Options = Omit<SmokeOptions, "id" | "onResult"> & { json?: boolean };

export function smokeCommand(program: Command, act: Act): void {
  const command = program
    .command("smoke [id]")
    .description("run the configured smoke checks again, at any time; reads only");
  withJson(withState(withConnection(command))).option(
    "--config <file>",
    "the checks of this configuration file (default: those the migration was started with)",
  );
  example(command, "partway smoke orders_3f9a1c");
  command.action((id: string | undefined, options: Options) =>
    act(options, async () => {
      const write = (line: string) => process.stdout.write(`${line}\n`);
      const done = await smoke({
        ...options,
        id,
        onResult: (one) =>
          write(
            options.json === true
              ? JSON.stringify(one)
              : `${one.passed ? "passed" : "FAILED"}  ${one.check}: expected ${one.expected}, found ${one.found} (${Math.round(one.ms)} ms)`,
          ),
      });
      write(options.json === true ? JSON.stringify(done) : summary(done));
      return done.failed.length === 0 ? EXIT.done : EXIT.smokeFailed;
    }),
  );
}

function summary({ on, total, failed, next }: Awaited<ReturnType<typeof smoke>>): string {
  if (failed.length === 0) return `all ${total} smoke checks passed on the ${on} table`;
  return `${failed.length} of ${total} SMOKE CHECKS FAILED on the ${on} table.${next === null ? "" : `\nTO GO BACK: ${next}`}`;
}

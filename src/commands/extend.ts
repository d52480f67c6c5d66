import type { Command } from "commander";
import type { ConnectOptions, StateOptions } from "../api.js";
import { EXIT } from "../errors.js";
import { extend } from "../extend.js";
import type { Act } from "./act.js";
import { example, withConnection, withJson, withState } from "./options.js";

type Options = ConnectOptions & StateOptions & { by: string; json?: boolean };

export function extendCommand(program: Command, act: Act): void {
  const command = program
    .command("extend [id]")
    .description("a longer retention window: rollback stays promised, the old table stays")
    .requiredOption("--by <duration>", "how much longer, from the deadline, or from now where it has passed");
  withJson(withState(withConnection(command)));
  example(command, "partway extend orders_3f9a1c --by 24h");
  command.action((id: string | undefined, options: Options) =>
    act(options, async () => {
      const window = await extend({ ...options, id });
      process.stdout.write(
        options.json === true
          ? `${JSON.stringify(window)}\n`
          : `${window.id}: the window is open until ${window.deadline} (${window.secondsLeft} s left)\n`,
      );
      return EXIT.done;
    }),
  );
}

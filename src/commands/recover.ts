import type { Command } from "commander";
import type { ConnectOptions, StateOptions } from "../api.js";
import { EXIT } from "../errors.js";
import { recover } from "../recover.js";
import type { Act } from "./act.js";
import { example, withConnection, withJson, withState } from "./options.js";

type Options = ConnectOptions & StateOptions & { json?: boolean };

export function recoverCommand(program: Command, act: Act): void {
  const command = program
    .command("recover [id]")
    .description("rebuild a lost journal from what the database knows of its migrations");
  withJson(withState(withConnection(command)));
  example(command, "partway recover");
  command.action((id: string | undefined, options: Options) =>
    act(options, async () => {
      const found = await recover({ ...options, id });
      const lines = found.map(
        (m) => `${m.id}  ${m.table}  next phase ${m.phase}; go on with: partway resume ${m.id}`,
      );
      const none = "nothing to recover: the journal knows every migration that the database knows";
      process.stdout.write(
        options.json === true
          ? `${JSON.stringify(found)}\n`
          : `${lines.length > 0 ? lines.join("\n") : none}\n`,
      );
      return EXIT.done;
    }),
  );
}

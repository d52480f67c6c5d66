import type { Command } from "commander";
import { EXIT } from "../errors.js";
import { type Recovered, type RecoverOptions, recover } from "../recover.js";
import type { Act } from "./act.js";
import { example, withConnection, withJson, withState } from "./options.js";

type Options = Omit<RecoverOptions, "id" | "backup"> & { json?: boolean; backup: string | boolean };

export function recoverCommand(program: Command, act: Act): void {
  const command = program
    .command("recover [id]")
    .description("rebuild a lost journal from what the database knows of its migrations");
  withJson(withState(withConnection(command)))
    .option("--backup <dir>", "where a backup goes that is still to be made (default: <state>/backups)")
    .option("--no-backup", "make no backup, where none has been made yet");
  example(command, "partway recover");
  command.action((id: string | undefined, { backup, ...options }: Options) =>
    act(options, async () => {
      // commander gives true when neither --backup nor --no-backup was typed.
      const found = await recover({ ...options, id, backup: backup === true ? undefined : backup });
      const text = found.length > 0 ? found.flatMap(linesOf) : [NONE];
      process.stdout.write(options.json === true ? `${JSON.stringify(found)}\n` : `${text.join("\n")}\n`);
      return EXIT.done;
    }),
  );
}

const NONE = "nothing to recover: the journal knows every migration that the database knows";

function linesOf({ id, table, phase, next, unknown }: Recovered): string[] {
  return [
    `${id}  ${table}  next phase ${phase}; go on with: ${next}`,
    ...unknown.map((what) => `  not known: ${what}`),
  ];
}

import { Argument, type Command } from "commander";
import { EXIT } from "../errors.js";
import { SCHEMAS, type SchemaName, schemaText } from "../schema/publish.js";
import type { Act } from "./act.js";
import { example } from "./options.js";

export function schemaCommand(program: Command, act: Act): void {
  const command = program
    .command("schema")
    .description("print the JSON schema of what --json prints, or of the configuration file")
    .addArgument(new Argument("<name>", "which").choices(SCHEMAS));
  example(command, "partway schema status");
  command.action((name: SchemaName) =>
    act({}, async () => {
      process.stdout.write(schemaText(name));
      return EXIT.done;
    }),
  );
}

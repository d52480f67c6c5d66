import type { Command } from "commander";
import { oneLine } from "../../ui/format.js";
import { EXIT } from "../errors.js";
import { type GrantsOptions, grants, type RoleScript } from "../grants.js";
import { ident } from "../pg/quote.js";
import type { Act } from "./act.js";
import { example, withConnection, withJson } from "./options.js";

export function grantsCommand(program: Command, act: Act): void {
  const command = program
    .command("grants [table]")
    .description(
      "the SQL that gives a role what it needs to migrate, or to look after, the table (or those of the configuration file)",
    )
    .option("--role <name>", "the role, which need not exist (default: the connected one)")
    .option("--maintenance", "what adopt, maintain and health need of a partitioned table, instead")
    .option("--capture <how>", "what a run with --capture wal needs as well")
    .option("--missing", "only what it does not have yet")
    .option("--config <file>", "configuration file (default: partway.config.* in this folder)");
  withJson(withConnection(command));
  example(
    command,
    "partway grants orders --role partway_mover",
    "partway grants --missing",
    "partway grants orders --capture wal",
    "partway grants orders --maintenance --role partway_care",
  );
  type Options = Omit<GrantsOptions, "table"> & { json?: boolean };
  command.action((table: string | undefined, options: Options) =>
    act(options, async () => {
      const script = await grants({ ...options, table });
      process.stdout.write(options.json === true ? `${JSON.stringify(script)}\n` : scriptText(script));
      return EXIT.done;
    }),
  );
}

/** Runs as it is in psql: everything but the statements is a comment. */
function scriptText(script: RoleScript): string {
  const { purpose, role, exists, superuser, database, tables, grants: all } = script;
  const lines = [
    `-- For role ${oneLine(role)} to ${purpose === "migrate" ? "migrate" : "look after"} ${oneLine(tables.join(", "))} in database ${oneLine(database)}; run by a superuser.`,
    ...(exists
      ? []
      : [`-- It does not exist yet: CREATE ROLE ${oneLine(ident(role))} LOGIN PASSWORD '...';`]),
    ...(superuser ? ["-- A superuser needs nothing."] : []),
    ...(all.length === 0 && !superuser ? ["-- Nothing is needed."] : []),
    ...all.flatMap(({ sql, what, or }) => [
      `-- ${oneLine(what)}`,
      sql,
      ...(or === undefined ? [] : [`-- or: ${oneLine(or)}`]),
    ]),
  ];
  return `${lines.join("\n")}\n`;
}

/** The commands for care in the database itself: install-sql, uninstall-sql, handover. */
import type { Command } from "commander";
import { oneLine } from "../../ui/format.js";
import { badInput, EXIT } from "../errors.js";
import {
  type HandoverOptions,
  handover,
  type InstalledSql,
  type InstallSqlOptions,
  installSql,
  type RemovedSql,
  sqlScript,
  uninstallSql,
} from "../in-database.js";
import type { HandoverReport } from "../insql/partman.js";
import type { Act } from "./act.js";
import { example, withConnection, withJson } from "./options.js";

type Json = { json?: boolean };

export function inDatabaseCommands(program: Command, act: Act): void {
  installCommand(program, act);
  uninstallCommand(program, act);
  handoverCommand(program, act);
}

function installCommand(program: Command, act: Act): void {
  const command = program
    .command("install-sql")
    .description(
      "functions in schema partway that care for the tables in care without a service; again: brings them up to date",
    )
    .option("--print", "print the script for review or psql, connect to nothing")
    .option("--cron", "make pg_cron's jobs, too")
    .option(
      "--cron-database <name>",
      "where pg_cron is (default: here, else the server's cron.database_name)",
    )
    .option("--apply", "the cleanup job detaches and drops; without it, it only names what is expired");
  withJson(withConnection(command));
  example(command, "partway install-sql --print", "partway install-sql --cron --apply");
  command.action((options: InstallSqlOptions & Json & { print?: boolean }) =>
    act(options, async () => {
      if (options.print === true) {
        if ([options.cron, options.json, options.apply].includes(true))
          throw badInput("--print prints the script alone", "Give it without --cron, --apply and --json.");
        process.stdout.write(sqlScript());
        return EXIT.done;
      }
      print(options, await installSql(options), installLines);
      return EXIT.done;
    }),
  );
}

function uninstallCommand(program: Command, act: Act): void {
  const command = program
    .command("uninstall-sql")
    .description("takes these functions and their jobs away; tables, leaves, rows and policies stay")
    .option("--policies", "the policies of the tables in care, too")
    .option(
      "--cron-database <name>",
      "where pg_cron is (default: here, else the server's cron.database_name)",
    );
  withJson(withConnection(command));
  example(command, "partway uninstall-sql");
  command.action((options: Parameters<typeof uninstallSql>[0] & Json) =>
    act(options, async () => {
      print(options, await uninstallSql(options), uninstallLines);
      return EXIT.done;
    }),
  );
}

function handoverCommand(program: Command, act: Act): void {
  const command = program
    .command("handover <table>")
    .description("gives a table in care to pg_partman, with its policy; shows it, and does it with --apply")
    .requiredOption("--pg-partman", "to pg_partman, 4 or 5")
    .option("--apply", "do it: without, it is only shown")
    .option("--undo", "back into Partway's care");
  withJson(withConnection(command));
  example(
    command,
    "partway handover orders --pg-partman",
    "partway handover orders --pg-partman --undo --apply",
  );
  command.action((table: string, options: Omit<HandoverOptions, "table"> & Json) =>
    act(options, async () => {
      print(options, await handover({ ...options, table }), (report) =>
        handoverLines(report, options.undo === true),
      );
      return EXIT.done;
    }),
  );
}

function installLines({ version, before, jobs }: InstalledSql): string[] {
  const was =
    before === null
      ? "installed"
      : before === version
        ? "installed anew"
        : `brought up to date from ${oneLine(before)}`;
  return [
    `functions of Partway ${version} in schema partway: ${was}`,
    ...jobs.flatMap(({ name, schedule, command, replaced }) => [
      `  job  ${oneLine(name)}  ${schedule}  ${command}`,
      ...(replaced === null ? [] : [`       instead of: ${oneLine(replaced)}`]),
    ]),
    "  SELECT * FROM partway.partition_health_summary()",
  ];
}

function uninstallLines({ functions, jobs, policies, note }: RemovedSql): string[] {
  return [
    `functions of Partway: ${functions.length} taken away; tables, leaves and rows are as they were`,
    ...jobs.map((name) => `  job  ${oneLine(name)} taken away`),
    ...(policies === null ? ["  policies stay in partway.partition_config"] : []),
    ...(policies ?? []).map(
      ({ shown, policy }) => `  policy  ${oneLine(shown)} taken away: ${oneLine(JSON.stringify(policy))}`,
    ),
    ...(note === null ? [] : [`  note  ${oneLine(note)}`]),
  ];
}

function handoverLines(report: HandoverReport, isUndo: boolean): string[] {
  const { table, version, schema, row, nextLeaf, notes, applied } = report;
  const shown = oneLine(table.replaceAll('"', ""));
  const hint = applied ? [] : ["  nothing is changed without --apply"];
  if (isUndo || row === null)
    return [
      `${shown}: ${applied ? "is" : "would be"} back in Partway's care, and out of ${oneLine(schema)}.part_config`,
      ...hint,
    ];
  const kept = row.retentionKeepTable ? "detached, kept as a table" : "dropped";
  return [
    `${shown}: ${applied ? "is" : "would be"} tended by pg_partman ${oneLine(version)}; its policy here ${applied ? "is" : "would be"} disabled`,
    `  every ${row.interval}, premake ${row.premake}, retention ${row.retention ?? "none"}${row.retention === null ? "" : ` (then ${kept})`}`,
    `  next leaf  ${oneLine(nextLeaf ?? "")}`,
    ...notes.map((note) => `  note  ${note}`),
    ...hint,
  ];
}

function print<T>(options: Json, value: T, lines: (value: T) => string[]): void {
  process.stdout.write(options.json === true ? `${JSON.stringify(value)}\n` : `${lines(value).join("\n")}\n`);
}

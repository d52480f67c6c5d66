/** The commands that move leaves to another PostgreSQL server, and bring them back. */
import type { Command } from "commander";
import { oneLine } from "../../ui/format.js";
import {
  type CoolOptions,
  type CoolReport,
  coldLeaves,
  cool,
  type ListedCold,
  type WarmOptions,
  type WarmReport,
  warm,
} from "../cold.js";
import { badInput, EXIT } from "../errors.js";
import type { Act } from "./act.js";
import { archiveProgress, interruptible } from "./archive-options.js";
import { print } from "./care.js";
import { plain } from "./care-text.js";
import { example, withConnection, withJson, withLocks } from "./options.js";

type Json = { json?: boolean };

export function coldCommands(program: Command, act: Act): void {
  coolCommand(program, act);
  warmCommand(program, act);
}

function withCold(command: Command): Command {
  return command.option(
    "--to <url>",
    "the cold server's database, as psql takes it (default: PARTWAY_COLD_URL)",
  );
}

function coolCommand(program: Command, act: Act): void {
  const command = program
    .command("cool <table> [leaves...]")
    .description(
      "lists a table's cold leaves; with leaves, moves them to another PostgreSQL server, proven, and still readable here",
    );
  withCold(command)
    .option("--server <name>", "the foreign server that reads them (default partway_cold)")
    .option("--make-mapping", "make the user mapping of this role from the URL, password included")
    .option("--apply", "do it; without it, only what would be done is shown");
  withLocks(command, "an ATTACH may take under its locks");
  withJson(withConnection(command));
  example(
    command,
    "partway cool orders",
    "partway cool orders orders_2019_01 orders_2019_02",
    "partway cool orders orders_2019_01 --server cold --apply",
  );
  type Typed = Omit<CoolOptions, "table" | "leaves"> & Json;
  command.action((table: string, leaves: string[], options: Typed) =>
    act(options, async () => {
      if (leaves.length === 0) {
        if (options.apply === true)
          throw badInput(
            "it is not said which leaves are to be cooled",
            "Name them: partway cool orders orders_2019_01.",
          );
        print(options, await coldLeaves({ ...options, table }), (all) => listLines(table, all));
        return EXIT.done;
      }
      const report = await interruptible((signal) =>
        cool({ ...options, table, leaves, signal, onArchive: archiveProgress() }),
      );
      print(options, report, coolLines);
      return EXIT.done;
    }),
  );
}

function warmCommand(program: Command, act: Act): void {
  const command = program
    .command("warm <table> <leaves...>")
    .description("brings cold leaves back into their table, proven by count and content hash");
  withCold(command)
    .option("--drop-cold", "drop the copy on the cold server once the leaf is back")
    .option("--accept-changes", "bring back rows that were changed on the cold server as they are there")
    .option("--apply", "do it; without it, only what would be done is shown");
  withLocks(command, "the ATTACH may take under its locks");
  withJson(withConnection(command));
  example(
    command,
    "partway warm orders orders_2019_01 --apply",
    "partway warm orders orders_2019_01 --drop-cold --apply",
  );
  type Typed = Omit<WarmOptions, "table" | "leaves"> & Json;
  command.action((table: string, leaves: string[], options: Typed) =>
    act(options, async () => {
      const report = await interruptible((signal) =>
        warm({ ...options, table, leaves, signal, onArchive: archiveProgress() }),
      );
      print(options, report, warmLines);
      return EXIT.done;
    }),
  );
}

const range = (bound: string) => oneLine(bound.replace("FOR VALUES ", ""));
const rowsOf = ({ rows, hash }: { rows: number | null; hash: string | null }) =>
  rows === null ? "" : `  ${rows} rows, hash ${hash}`;

function listLines(table: string, all: readonly ListedCold[]): string[] {
  if (all.length === 0) return [`${oneLine(table)}: no leaf was cooled`];
  return all.map(
    (one) =>
      `${one.state.padEnd(10)}  ${oneLine(one.leaf)}  ${range(one.bound)}  ${one.how}, by ${oneLine(one.server)}${rowsOf(one)}${one.state === "warm" && !one.isDropped ? "  (its cold copy is still there)" : ""}`,
  );
}

function coolLines({ table, server, to, how, why, view, notes, leaves }: CoolReport): string[] {
  const isApplied = leaves.some(({ fate }) => fate === "cooled");
  return [
    ...leaves.map(
      (one) =>
        `${isApplied ? "cooled" : "to cool"}  ${plain(table)}  ${oneLine(one.leaf)}  ${range(one.bound)}${rowsOf(one)}`,
    ),
    `  to ${oneLine(to)}, read through the foreign server ${oneLine(server)}`,
    how === "attached"
      ? `  attached: queries of ${plain(table)} find the rows as before`
      : `  beside: queries of ${plain(table)} do not find the rows, those of ${plain(view ?? "")} do (${oneLine(why ?? "")})`,
    ...notes.map((note) => `  note: ${oneLine(note)}`),
    ...(isApplied ? [] : ["  nothing was touched: it is done with --apply"]),
  ];
}

function warmLines({ table, leaves }: WarmReport): string[] {
  return leaves.map((one) => {
    const what = `${plain(table)}  ${oneLine(one.leaf)}  ${range(one.bound)}${rowsOf(one)}`;
    if (one.fate === "would-warm") return `to warm  ${what}; nothing was touched: it is done with --apply`;
    return `warmed  ${what}; ${one.fate === "warmed" ? "its cold copy is left: --drop-cold drops it" : "its cold copy was dropped"}`;
  });
}

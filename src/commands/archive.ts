/** The commands that archive a leaf by hand, list archives, and bring one back. */
import type { Command } from "commander";
import { oneLine, bytes as sized } from "../../ui/format.js";
import {
  type ArchiveOptions,
  type ArchiveReport,
  archive,
  archives,
  type ListedArchive,
  type PlaceOptions,
  type RestoreLeafOptions,
  type RestoreLeafReport,
  restoreLeaf,
} from "../archive.js";
import { badInput, EXIT } from "../errors.js";
import type { Act } from "./act.js";
import { archiveProgress, interruptible, noted, placeOf } from "./archive-options.js";
import { print } from "./care.js";
import { plain } from "./care-text.js";
import { example, withConnection, withJson, withLocks, withPlace } from "./options.js";

type Json = { json?: boolean };

export function archiveCommands(program: Command, act: Act): void {
  archiveCommand(program, act);
  restoreLeafCommand(program, act);
}

function archiveCommand(program: Command, act: Act): void {
  const command = program
    .command("archive <table>")
    .description(
      "lists a table's archives; with --leaf, archives one leaf, proves the archive and drops the leaf",
    )
    .option("--leaf <name>", "this leaf, whether expired or not")
    .option("--apply", "do it; without it, only what would be done is shown");
  withPlace(command, "a folder, or s3://bucket/prefix (default: the table's policy)");
  withLocks(command, "a detach beside foreign keys may hold its locks");
  withJson(withConnection(command));
  example(
    command,
    "partway archive orders",
    "partway archive orders --leaf orders_2024_01 --to /var/archive --apply",
  );
  type Typed = Omit<ArchiveOptions, "table" | "leaf"> & PlaceOptions & Json & { leaf?: string };
  command.action((table: string, typed: Typed) => {
    const { place, rest } = placeOf(typed);
    const { leaf, ...options } = rest;
    return act(options, async () => {
      if (leaf === undefined) {
        if (options.apply === true || Object.keys(place).length > 0)
          throw badInput("it is not said which leaf is to be archived", "Name it: --leaf orders_2024_01.");
        print(options, await archives({ ...options, table }), (all) => listLines(table, all));
        return EXIT.done;
      }
      const report = await interruptible((signal) =>
        archive({
          ...{ ...options, ...place, table, leaf, signal },
          ...{ onArchive: archiveProgress(), onNote: noted },
        }),
      );
      print(options, report, archiveLines);
      return EXIT.done;
    });
  });
}

function restoreLeafCommand(program: Command, act: Act): void {
  const command = program
    .command("restore-leaf <archive>")
    .description("brings an archived leaf back and attaches it, proven by count and content hash")
    .option("--detached", "as a table of its own, with the columns it had");
  withPlace(command, null);
  withLocks(command, "the ATTACH may take under its locks");
  withJson(withConnection(command));
  example(
    command,
    "partway restore-leaf orders_2024_01",
    "partway restore-leaf s3://archive/public.orders/orders_a1.manifest.json",
  );
  type Typed = Omit<RestoreLeafOptions, "archive"> & Json;
  command.action((archived: string, typed: Typed) => {
    const { place, rest: options } = placeOf(typed);
    return act(options, async () => {
      const report = await interruptible((signal) =>
        restoreLeaf({ ...options, ...place, archive: archived, signal, onArchive: archiveProgress() }),
      );
      print(options, report, restoreLines);
      return EXIT.done;
    });
  });
}

function listLines(table: string, all: readonly ListedArchive[]): string[] {
  if (all.length === 0) return [`${oneLine(table)}: no leaf was archived`];
  return all.map(
    ({ state, id, bound, rows, bytes, manifest }) =>
      `${state.padEnd(10)}  ${id}  ${oneLine(bound.replace("FOR VALUES ", ""))}${rows === null ? "" : `  ${rows} rows, ${sized(bytes ?? 0)}`}  ${oneLine(manifest)}`,
  );
}

function archiveLines({ table, leaf, bound, to, isSealed, fate, archive: made }: ArchiveReport): string[] {
  const what = `${plain(table)}  ${oneLine(leaf)}  ${oneLine(bound.replace("FOR VALUES ", ""))}`;
  if (fate === "would-archive")
    return [
      `to archive  ${what}`,
      `  ${isSealed ? "sealed, " : ""}to ${oneLine(to)}; nothing was touched: it is done with --apply`,
    ];
  const lines = [`${fate}  ${what}`];
  if (made?.rows != null)
    lines.push(
      `  ${made.rows} rows, ${sized(made.bytes ?? 0)}${made.isSealed ? ", sealed" : ""}: ${oneLine(made.manifest)}`,
    );
  if (fate === "archived" && made !== null) lines.push(`  back: partway restore-leaf ${made.id}`);
  if (fate === "pending") lines.push("  somebody still has it in use: the same command again goes on");
  return lines;
}

function restoreLines({ id, leaf, table, bound, rows, hash }: RestoreLeafReport): string[] {
  const attached = `attached to ${plain(table ?? "")}  ${oneLine(bound.replace("FOR VALUES ", ""))}`;
  return [
    `restored  ${plain(leaf)}  ${rows} rows, hash ${hash}, as archived (${id})`,
    `  ${table === null ? "a table of its own, without indexes" : `${attached}; it does not expire again by itself`}`,
  ];
}

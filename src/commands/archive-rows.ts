/** `partway archive-rows`: old rows into an archive table, in batches. */
import type { Command } from "commander";
import { count, oneLine, plural } from "../../ui/format.js";
import { type ArchiveRowsOptions, type ArchiveRowsReport, archiveRows } from "../archive-rows.js";
import { EXIT } from "../errors.js";
import type { Act } from "./act.js";
import { onSignals } from "./follow.js";
import { example, withConnection, withJson } from "./options.js";

export function archiveRowsCommand(program: Command, act: Act): void {
  const command = program
    .command("archive-rows <table>")
    .description(
      "moves old rows into an archive table, in batches; without --apply it counts them and says what it would do",
    )
    .requiredOption(
      "--before <value>",
      "rows below this are old: a date, a time or a number, as the column reads it",
    )
    .option("--by <column>", "the column (default: the one the table is partitioned by)")
    .option(
      "--into <table>",
      "the archive table (default: <table>_archive beside it); made when it is missing",
    )
    .option(
      "--index <columns...>",
      "indexes of an archive that is made: columns with commas; like: the table's own",
    )
    .option("--view <name>", "make a view of the table and its archive together")
    .option("--allow <what...>", "what is asked first: generated, identity, cascade, triggers, published")
    .option("--batch <rows>", "rows a batch (default 5000)")
    .option("--pause <time>", "rest between two batches (default none)")
    .option("--apply", "move them");
  withJson(withConnection(command));
  example(
    command,
    "partway archive-rows orders --before 2025-01-01",
    "partway archive-rows orders --before 2025-01-01 --view all_orders --apply",
    "partway archive-rows logs --by id --before 1000000 --pause 100ms --apply",
  );
  type Options = Omit<ArchiveRowsOptions, "table" | "signal" | "onProgress"> & { json?: boolean };
  command.action((table: string, options: Options) =>
    act(options, async () => {
      const stop = new AbortController();
      const off = onSignals(() => stop.abort());
      let told = 0;
      try {
        const report = await archiveRows({
          ...{ ...options, table, signal: stop.signal },
          onProgress: ({ moved, total, perSecond }) => {
            // A line a second is enough, and only where somebody reads.
            if (options.json === true || performance.now() - told < 1000) return;
            told = performance.now();
            process.stderr.write(
              `${count(moved)} of about ${count(total)} rows moved, ${count(perSecond)} rows/s\n`,
            );
          },
        });
        process.stdout.write(
          options.json === true
            ? `${JSON.stringify(report)}\n`
            : `${archiveLines(report, options).join("\n")}\n`,
        );
        return stop.signal.aborted ? EXIT.stopped : EXIT.done;
      } finally {
        off();
      }
    }),
  );
}

export function archiveLines(
  report: ArchiveRowsReport,
  { apply = false }: { apply?: boolean | undefined },
): string[] {
  const { table, archive, column, before, total, moved, statements, findings, done } = report;
  const of = `of ${oneLine(table)} with ${oneLine(column)} before ${oneLine(before)}`;
  const made = statements.map((sql) => `  ${oneLine(sql)};`);
  const notes = findings.map(
    ({ what, next, allowed }) =>
      `  ${allowed ? "allowed" : "asked"}  ${oneLine(what)}; ${allowed ? "" : "mend or allow: "}${oneLine(next)}`,
  );
  if (apply)
    return [
      `${plural(moved, "row")} ${of} moved into ${oneLine(archive)}`,
      ...(done ? [] : ["  stopped between two batches; the same command again goes on from there"]),
    ];
  return [
    `${plural(total, "row")} ${of} would be moved into ${oneLine(archive)}${statements.length === 0 ? "" : ", after:"}`,
    ...made,
    ...notes,
    "  nothing was changed: --apply does it",
  ];
}

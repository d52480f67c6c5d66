/** The commands for life after the migration: adopt, maintain, health, partitions. */
import { type Command, Option } from "commander";
import type { PlaceOptions } from "../archive.js";
import type { HealthChange } from "../care/tell.js";
import {
  type AdoptOptions,
  adopt,
  type CareOptions,
  health,
  type MaintainOptions,
  maintain,
  partitions,
  type TellOptions,
  tellHealth,
} from "../care.js";
import { badInput, EXIT, PartwayError } from "../errors.js";
import type { Act } from "./act.js";
import { archiveOf, archiveProgress, interruptible, noted, placeOf } from "./archive-options.js";
import {
  adoptLines,
  changeLines,
  healthLines,
  leafRows,
  maintainJson,
  maintainLines,
  partitionLines,
} from "./care-text.js";
import { explain } from "./follow.js";
import { followHealth } from "./health-watch.js";
import { example, withConnection, withJson, withLocks, withPlace } from "./options.js";

type Json = { json?: boolean };

export function careCommands(program: Command, act: Act): void {
  adoptCommand(program, act);
  maintainCommand(program, act);
  healthCommand(program, act);
  partitionsCommand(program, act);
}

function adoptCommand(program: Command, act: Act): void {
  const command = program
    .command("adopt [tables...]")
    .description(
      "takes partitioned tables into care: reads their bounds, stores a policy (those named, or the configuration file's)",
    )
    .option("--every <interval>", "range by time: hour, day, week (ISO), month, quarter or year, in UTC")
    .option("--step <n>", "range by a whole number: n values a leaf")
    .option("--leaf <template>", "names of new leaves")
    .option("--ahead <n>", "leaves to have beyond now's")
    .option("--retention <length>", "how long a leaf is kept: 90d, 12mo, 2y, a number of values, or none")
    .addOption(
      new Option("--expired <what>", "what becomes of expired leaves (default detach)").choices([
        "detach",
        "drop",
        "archive",
      ]),
    )
    .option("--dry-run", "show it, store nothing")
    .option("--config <file>", "configuration file (default: partway.config.* in this folder)");
  withPlace(command, "where expired leaves are archived: a folder, or s3://bucket/prefix");
  withJson(withConnection(command));
  example(
    command,
    "partway adopt orders --retention 24mo --expired drop",
    "partway adopt orders --retention 24mo --expired archive --to s3://archive/shop",
  );
  interface Typed extends CareOptions, Json, PlaceOptions {
    every?: string;
    step?: string;
    leaf?: string;
    ahead?: string;
    retention?: string;
    expired?: "detach" | "drop" | "archive";
    dryRun?: boolean;
  }
  command.action((tables: string[], typed: Typed) => {
    const { every, step, leaf, ahead, retention, expired, ...more } = typed;
    const { place, rest: options } = placeOf(more);
    return act(options, async () => {
      const policy = {
        ...{ every, step, leaf, retention, expired, archive: archiveOf(place) },
        ahead: ahead === undefined ? undefined : Number(ahead),
      };
      const given = Object.fromEntries(Object.entries(policy).filter(([, value]) => value !== undefined));
      const asked: AdoptOptions = { ...options, tables, policy: given };
      print(options, await adopt(asked), (reports) => reports.flatMap(adoptLines));
      return EXIT.done;
    });
  });
}

function maintainCommand(program: Command, act: Act): void {
  const command = program
    .command("maintain [tables...]")
    .description(
      "makes leaves ahead, analyzes, detaches, archives and drops what is expired, records sizes: of the tables in care",
    )
    .option("--dry-run", "show what would be done, change nothing")
    .option("--apply", "detach, archive and drop expired leaves, too; without it they are only named");
  withLocks(command, "the move of rows out of DEFAULT, and the ATTACH, may each take under their locks");
  withJson(withConnection(command));
  example(command, "partway maintain --dry-run", "partway maintain orders --apply");
  command.action((tables: string[], options: Omit<MaintainOptions, "tables"> & Json) =>
    act(options, async () => {
      const { tables: outcomes, exitCode } = await interruptible((signal) =>
        maintain({ ...options, tables, signal, onArchive: archiveProgress(), onNote: noted }),
      );
      print(options, outcomes, (all) => all.flatMap((one) => maintainLines(one, options)), maintainJson);
      if (options.json !== true) for (const one of outcomes) if ("error" in one) explain(one.error);
      return exitCode;
    }),
  );
}

function healthCommand(program: Command, act: Act): void {
  const command = program
    .command("health [tables...]")
    .description(
      "how partitioned tables are, those in care or those named; exit code 9 unless all are healthy",
    )
    .option(
      "--watch",
      "look again every 5 s: a screen at a terminal, what has changed in a pipe, until Ctrl-C",
    )
    .option("--on-change <command>", "run this when a table's status is not what it was when last told")
    .option("--webhook <url>", "POST it as JSON; env:NAME takes the address from the environment")
    .option("--hook-timeout <time>", "longest time of either (default 1m)");
  withJson(withConnection(command));
  example(
    command,
    "partway health",
    "partway health orders --json",
    "partway health --webhook env:ALERT_URL",
  );
  command.action((tables: string[], options: TellOptions & Json & { watch?: boolean }) =>
    act(options, async () => {
      if (options.watch === true) {
        if (options.onChange !== undefined || options.webhook !== undefined)
          throw badInput(
            "--watch shows, and --on-change and --webhook tell",
            "Give the one or the other: cron tells, a person watches.",
          );
        return followHealth({ ...options, tables }, options.json === true);
      }
      const { reports, changes } = await healthAndTell({ ...options, tables });
      print(options, reports, (all) => all.flatMap(healthLines));
      for (const line of changes.flatMap(changeLines)) process.stderr.write(`${line}\n`);
      const untold = changes.filter(({ told }) => told.some(({ ok }) => !ok));
      if (untold.length > 0) throw notTold(untold);
      return reports.every(({ status }) => status === "HEALTHY") ? EXIT.done : EXIT.unhealthy;
    }),
  );
}

async function healthAndTell(options: TellOptions) {
  const tells = options.onChange !== undefined || options.webhook !== undefined;
  return tells ? tellHealth(options) : { reports: await health(options), changes: [] };
}

function notTold(changes: readonly HealthChange[]): PartwayError {
  const failed = changes.flatMap(({ table, told }) =>
    told.filter(({ ok }) => !ok).map(({ to, how }) => `${table}: ${to} (${how})`),
  );
  return new PartwayError("unexpected", {
    what: `a change of status could not be told: ${failed.join("; ")}`,
    state: "Nothing was changed in the tables; the change is not marked as told.",
    next: "The next partway health tells it again.",
  });
}

function partitionsCommand(program: Command, act: Act): void {
  const command = program
    .command("partitions <table>")
    .description("the leaves of a partitioned table, by the catalog: bounds, rows, size")
    .option("--tree", "as a tree");
  withJson(withConnection(command));
  example(command, "partway partitions orders --tree");
  command.action((table: string, options: CareOptions & Json & { tree?: boolean }) =>
    act(options, async () => {
      const report = await partitions({ ...options, table });
      print(options, report, (one) => partitionLines(one, options.tree === true), leafRows);
      return EXIT.done;
    }),
  );
}

/** Prints `value` as JSON or as lines. */
export function print<T>(
  options: Json,
  value: T,
  lines: (value: T) => string[],
  plain: (value: T) => unknown = (one) => one,
): void {
  process.stdout.write(
    options.json === true ? `${JSON.stringify(plain(value))}\n` : `${lines(value).join("\n")}\n`,
  );
}

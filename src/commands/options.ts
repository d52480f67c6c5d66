/** Options that several commands share, so that they read the same everywhere. */
import { type Command, Option } from "commander";
import { PHASES } from "../../state/events.js";
import { archiveFormats } from "../config/schema.js";
import { badInput } from "../errors.js";

export function withConnection(command: Command): Command {
  return command.option(
    "--url <url>",
    "where to connect, as psql takes it; else DATABASE_URL, else PG* and ~/.pgpass",
  );
}

export function withState(command: Command): Command {
  return command.option("--state <dir>", "journal, backups and log", ".partway");
}

export function withJson(command: Command): Command {
  return command.option("--json", "machine-readable output: JSON, or one event a line");
}

/** Errors: bad-input when both formats are asked for. */
export function oneFormat({ json, markdown }: { json?: boolean; markdown?: boolean }): void {
  if (json === true && markdown === true)
    throw badInput("--json and --markdown exclude each other", "Give one of them.");
}

/** How the table is cut. */
export function withScheme(command: Command): Command {
  return command
    .option("--by <column>", "the partition column")
    .option("--every <interval>", "range by time: hour, day, week (ISO), month, quarter or year, in UTC")
    .option("--step <n>", "range by a whole number: n values a leaf")
    .option("--hash <n>", "n leaves by hash")
    .option("--list <a,b,c>", "a leaf for each value")
    .option("--ahead <n>", "leaves beyond now and the newest row")
    .option(
      "--leaf <template>",
      "leaf names: {table} {YYYY} {MM} {DD} {Q} {IYYY} {IW} {HH} {n} {from} {value}",
    )
    .option("--keep <duration>", "retention window: how long rollback is promised (default 24h)")
    .option("--key <index>", "unique index that identifies a row (default: the primary key)")
    .option(
      "--incoming-fk <choice>",
      "foreign keys of other tables that point here: refuse (default), drop, or repoint where the columns stay unique",
    )
    .option(
      "--null-keys <choice>",
      "partition values that no leaf can hold (infinite, not in --list): refuse (default), or default-leaf",
    )
    .option(
      "--capture <how>",
      "changes of the source from: trigger (default), or wal (a logical replication slot; no trigger in the application's transactions)",
    )
    .option("--free-disk <size>", "free space on the server's disk, as 50GB: refuse what would not fit")
    .option("--no-sample", "forecast without reading a sample of the table")
    .option("--config <file>", "configuration file (default: partway.config.* in this folder)");
}

/** commander gives true where --no-sample was not typed, which must not win over the configuration file. */
export function sampling({ sample }: { sample?: boolean | undefined }): { sample: false | undefined } {
  return { sample: sample === false ? false : undefined };
}

/** How locks are tried for in the care of partitions. `held`: what the budget is for. */
export function withLocks(command: Command, held: string): Command {
  return command
    .option(
      "--lock-timeout <time>",
      "first lock_timeout of a try; grows to --lock-timeout-max (default 100ms)",
    )
    .option("--lock-timeout-max <time>", "its bound (default 1s)")
    .option("--lock-tries <n>", "tries before the run gives up with exit code 6 (default 30)")
    .option("--hold-budget <time>", `longest time ${held} (default 1s)`);
}

/** Where archives are, and their key. `to`: what that option says. */
export function withPlace(command: Command, to: string | null): Command {
  if (to !== null)
    command
      .option("--to <where>", to)
      .addOption(
        new Option(
          "--format <format>",
          "what archives are written as: csv (gzipped; the default) or parquet",
        ).choices([...archiveFormats]),
      );
  return command
    .option(
      "--key-file <file>",
      "a file with 32 bytes in hexadecimal or base64: archives are sealed with them",
    )
    .option("--key-env <name>", "the same from a variable of the environment")
    .option("--endpoint <url>", "of an S3-compatible storage that is not AWS")
    .option("--region <name>", "of the bucket (default: as the AWS tools find it)");
}

/** How a run behaves; may be given again on resume. */
export function withSettings(command: Command): Command {
  // One way to ask for it, whichever command shows the screen: `canShowScreen` looks at the variable.
  command.on("option:lines", () => {
    process.env["INK_SCREEN_READER"] = "true";
  });
  return withThrottle(command)
    .option("--workers <n>", "connections for copy, index and validation (default: by the server, usually 2)")
    .option(
      "--batch-time <time>",
      "what a copy batch should take: its size follows; 0: fixed (default 500ms)",
    )
    .option("--batch-blocks <n>", "instead: 8 kB blocks in every copy batch (8192 with --batch-time 0)")
    .option(
      "--lock-timeout <time>",
      "first lock_timeout of a try; grows to --lock-timeout-max (default 100ms)",
    )
    .option("--lock-timeout-max <time>", "its bound (default 1s)")
    .option("--lock-tries <n>", "tries before the run gives up with exit code 6 (default 30)")
    .option("--hold-budget <time>", "longest time the cutover may hold its locks (default 1s)")
    .addOption(
      new Option(
        "--on-hangup <what>",
        "when the terminal disappears: stop, safely and resumable, or continue without it (default stop)",
      ).choices(["stop", "continue"]),
    )
    .option("--repair", "copy rows again that validation finds different, and validate again")
    .option(
      "--hold",
      "stay after cutover: keep the retired table current, drop it at the deadline (default at a terminal)",
    )
    .option("--lines", "lines instead of the screen, for a screen reader; also INK_SCREEN_READER=true")
    .option("--no-hold", "exit after cutover; capture goes on in the database")
    .addOption(
      new Option("--until <phase>", "stop after this phase; validate: ready for cutover").choices([
        ...PHASES,
      ]),
    );
}

/** What holds heavy work back by itself; each takes `off`. */
function withThrottle(command: Command): Command {
  return command
    .option("--max-replica-lag <time>", "hold while a replica is further behind; or off (default 10s)")
    .option("--max-batch-time <time>", "rest as long as a copy batch took, when it took longer than this")
    .option("--max-active <n>", "hold while so many other sessions run a statement")
    .option("--max-xmin-age <n>", "hold while the oldest snapshot is so many transactions old")
    .option("--max-wal-rate <bytes>", "hold while the server writes more WAL a second, for example 50MB")
    .option("--max-checkpoint-wal <n>", "hold while WAL since the last checkpoint is n % of max_wal_size")
    .option(
      "--max-slot-wal <n>",
      "hold the copy while its slot keeps n % of max_slot_wal_keep_size (default 50)",
    )
    .option("--throttle-sql <select>", "hold while this gives true or a number above 0")
    .option("--canary-sql <statement>", "time this every second (default: a look-up by key)")
    .option("--max-canary <time>", "hold while the canary takes longer")
    .option("--between <hours>", "heavy work only in these hours: '22:00-06:00 Europe/Berlin' (default UTC)");
}

/** Whether the run cuts over by itself. */
export function withPostpone(command: Command): Command {
  return command.option("--postpone", "do not cut over by itself: rest at ready, staying current");
}

/** At a terminal a run holds unless told otherwise. */
export function holds(given: boolean | undefined): boolean {
  return given ?? (process.stdout.isTTY === true && process.stdin.isTTY === true);
}

/** An example at the end of `--help`. */
export function example(command: Command, ...lines: string[]): Command {
  return command.addHelpText("after", `\nExample:\n${lines.map((line) => `  ${line}`).join("\n")}`);
}

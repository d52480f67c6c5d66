/** `--all`: the tables of the configuration file instead of one named on the command line. */
import type { Command } from "commander";
import type { Running } from "../engine/running.js";
import { badInput } from "../errors.js";
import { type PlannedAll, planAll } from "../many/plan.js";
import { type RunAllOptions, runAll, type TableEvent } from "../many/run.js";
import type { AllOptions } from "../many/tables.js";
import { plansMarkdown } from "./all-markdown.js";
import { plannedText, resultText, tableLine, wholeLine } from "./all-text.js";
import { openOutput } from "./detach.js";
import { errorFields, explain, onSignals, show } from "./follow.js";
import { onHangup } from "./hangup.js";

export function withAll(command: Command): Command {
  return command.option("--all", "the tables of the configuration file, in their order");
}

/** What says how one table is cut; with --all the file says it for each. */
const OF_ONE = [
  ...(["by", "every", "step", "hash", "list", "ahead", "leaf", "key"] as const),
  ...(["incomingFk", "nullKeys", "capture"] as const),
] as const;

/**
 * Is it --all? Errors: bad-input when a table is named as well, or neither, and for options that belong to one table.
 */
export function isAll(
  named: string | undefined,
  options: { all?: boolean; hold?: boolean | undefined } & { [option in (typeof OF_ONE)[number]]?: unknown },
  command: string,
): boolean {
  if (options.all !== true) return false;
  if (named !== undefined)
    throw badInput(
      `${named} is named, and --all as well`,
      `partway ${command} ${named}, or partway ${command} --all`,
    );
  const one = OF_ONE.find((name) => options[name] !== undefined);
  if (one !== undefined)
    throw badInput(
      `--${one.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} says how one table is cut, and --all takes many`,
      "Write it for each table in the configuration file (README.md, Several tables).",
    );
  if (options.hold === true)
    throw badInput(
      "--hold stays with one table, and --all goes on to the next",
      "Leave it out; afterwards partway resume <id> --hold tends a window.",
    );
  return true;
}

/** The table, which must be named where there is no --all. */
export function oneTable(named: string | undefined, command: string): string {
  if (named !== undefined) return named;
  throw badInput(
    "no table is named",
    `partway ${command} <table>, or partway ${command} --all for those of the configuration file.`,
  );
}

/** Prints every plan; gives the exit code. */
export async function printPlans(
  options: AllOptions & { json?: boolean; markdown?: boolean },
): Promise<number> {
  const planned = await planAll(options);
  const text = () => plannedText(planned, process.stdout.columns);
  process.stdout.write(
    options.json === true
      ? `${plansJson(planned)}\n`
      : options.markdown === true
        ? plansMarkdown(planned)
        : text(),
  );
  return planned.exitCode;
}

function plansJson({ tables, ...rest }: PlannedAll): string {
  const told = tables.map(({ error, ...table }) => {
    return { ...table, error: error === null ? null : errorFields(error) };
  });
  return JSON.stringify({ tables: told, ...rest });
}

/** Migrates them all and shows it; gives the exit code. */
export async function followAll(
  options: RunAllOptions & { json: boolean; watch(running: Running): void },
): Promise<number> {
  const { json, watch, ...rest } = options;
  const stopping = new AbortController();
  // Before the first table's turn there is nothing to stop safely: a signal then ends the process as always.
  const signals: (() => void)[] = [];
  try {
    const result = await runAll({
      ...rest,
      signal: stopping.signal,
      onTable: (event) => {
        if (signals.length === 0) signals.push(onSignals(() => stopping.abort()));
        process.stdout.write(json ? `${tableJson(event)}\n` : `${tableLine(event)}\n`);
      },
      onError: (error, table) => {
        if (json)
          process.stdout.write(`${JSON.stringify({ event: "error", table, ...errorFields(error) })}\n`);
        else explain(error, table);
      },
      onRunning: async (running, turn) => {
        watch(running);
        const { table, alone } = turn;
        const shown = await show(running, { json, table, whole: wholeLine(turn), linesOnly: !alone });
        const { migration } = running.source.current();
        const hangup = onHangup(
          () => running.onHangup,
          () => stopping.abort(),
          () => shown.goOnIn(() => openOutput(migration, options.state)),
        );
        return async (result) => {
          hangup();
          await shown.end(result);
        };
      },
    });
    process.stdout.write(
      json ? `${JSON.stringify({ event: "all", ...result })}\n` : `\n${resultText(result)}`,
    );
    return result.exitCode;
  } finally {
    for (const off of signals) off();
  }
}

function tableJson({ at, event, table, migration, ...fields }: TableEvent): string {
  return JSON.stringify({ at, table, migration, event, ...fields });
}

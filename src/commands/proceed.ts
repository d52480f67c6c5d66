/** The commands that go on with a migration: resume, cutover, rollback, finalize, abort. */
import type { Command } from "commander";
import { proceed, type ResumeOptions } from "../api.js";
import type { Intent } from "../engine/intent.js";
import { EXIT } from "../errors.js";
import type { Act } from "./act.js";
import { followAll, isAll, withAll } from "./all.js";
import { follow } from "./follow.js";
import { askFromHook, isWaiting } from "./from-hook.js";
import { withMachines, withMetrics } from "./machines.js";
import {
  example,
  holds,
  withConnection,
  withJson,
  withPostpone,
  withSettings,
  withState,
} from "./options.js";

interface Entry {
  intent: Intent;
  description: string;
  example: string;
}

const ENTRIES: readonly Entry[] = [
  {
    intent: "resume",
    description: "go on with a migration from wherever it was interrupted",
    example: "partway resume orders_3f9a1c",
  },
  {
    intent: "cutover",
    description: "swap the names of a migration that is ready (run --until validate)",
    example: "partway cutover orders_3f9a1c --lock-timeout 200ms",
  },
  {
    intent: "rollback",
    description: "go back to the old table, with every write made since cutover",
    example: "partway rollback orders_3f9a1c",
  },
  {
    intent: "finalize",
    description: "after the retention window: drop the retired table and everything Partway made",
    example: "partway finalize orders_3f9a1c",
  },
  {
    intent: "abort",
    description: "before cutover: remove everything Partway made; the source stays as it was",
    example: "partway abort orders_3f9a1c",
  },
];

/** finalize --force is typed for this process alone; both are short. */
function mayDetach(intent: Intent): boolean {
  return intent !== "finalize" && intent !== "abort";
}

export function proceedCommands(program: Command, act: Act): void {
  for (const entry of ENTRIES) {
    const command = program.command(`${entry.intent} [id]`).description(entry.description);
    withJson(withMachines(withState(withConnection(withSettings(command))))).option(
      "--takeover",
      "take a migration over from a process that is stopped or dead; it can write nothing afterwards",
    );
    if (entry.intent === "resume")
      withAll(withPostpone(command)).option(
        "--config <file>",
        "with --all: configuration file (default: partway.config.* in this folder)",
      );
    if (entry.intent === "cutover")
      command.option("--accept", "accept everything that partway rehearse found");
    if (entry.intent === "finalize")
      command.option("--force <table>", "drop before the deadline; takes the table's name");
    example(command, entry.example);
    type Options = ResumeOptions & { json?: boolean; all?: boolean; config?: string; metrics?: string };
    command.action((id: string | undefined, options: Options) =>
      act(options, async () => {
        const { all, force, config, metrics, ...rest } = options;
        const json = options.json === true;
        if (entry.intent === "resume" && isAll(id, options, "resume"))
          return withMetrics(metrics, (watch) => followAll({ ...rest, config, json, begun: true, watch }));
        if (isWaiting(entry.intent) && options.takeover !== true) {
          const asked = await askFromHook(entry.intent, { ...options, id });
          if (asked !== null) {
            process.stdout.write(json ? `${JSON.stringify(asked)}\n` : `${asked.id}: ${asked.message}\n`);
            return EXIT.done;
          }
        }
        return withMetrics(metrics, async (watch) => {
          const hold = holds(options.hold);
          const running = await proceed(entry.intent, { ...rest, force, id, hold });
          watch(running);
          const told = mayDetach(entry.intent) ? { told: { ...options, hold } } : {};
          return follow(running, { json, ...told });
        });
      }),
    );
  }
}

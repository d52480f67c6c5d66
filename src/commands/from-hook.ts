/**
 * A command typed in a hook, for the very run that the hook belongs to: the run waits for its hooks before it swaps the
 * names and at its end, so the command must not wait for the run. It asks, and that is all.
 */
import { ask, drivenElsewhere } from "../engine/other-process.js";
import { acceptAll } from "../engine/rehearsed.js";
import { openForCommands } from "../engine/state-dir.js";
import type { Obeyed } from "../watch.js";

/** Those that wait for what they lead to. */
const WAITING = ["cutover", "rollback", "stop"] as const;
export type Waiting = (typeof WAITING)[number];

export function isWaiting(command: string): command is Waiting {
  return WAITING.some((one) => one === command);
}

/**
 * Asks for `command` if this process runs inside a hook of the migration that is meant, and a process runs that. null:
 * it is not so. Errors: those of `ask`.
 */
export async function askFromHook(
  command: Waiting,
  options: { id?: string | undefined; state?: string | undefined; accept?: boolean | undefined },
  env: NodeJS.ProcessEnv = process.env,
): Promise<Obeyed | null> {
  const own = env["PARTWAY_EVENT"] === undefined ? undefined : env["PARTWAY_MIGRATION"];
  if (own === undefined || (options.id ?? own) !== own) return null;
  const journal = openForCommands(options.state);
  try {
    const record = journal.migration(own);
    if (record === null || !drivenElsewhere(record)) return null;
    if (options.accept === true) acceptAll(journal, own);
    const said = await ask(journal, record, command);
    return { id: own, command, message: `asked, and not waited for: the run waits for this hook (${said})` };
  } finally {
    journal.close();
  }
}

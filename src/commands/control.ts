/** The commands that follow and steer a run of another process: watch, pause, continue, throttle, postpone, stop. */
import type { Command as CommandLine } from "commander";
import type { Command } from "../../state/events.js";
import { CommandSchema } from "../../state/journal-rows.js";
import type { StateOptions } from "../api.js";
import { badInput, EXIT } from "../errors.js";
import { control, watch } from "../watch.js";
import type { Act } from "./act.js";
import { show } from "./follow.js";
import { askFromHook, isWaiting } from "./from-hook.js";
import { example, withJson, withState } from "./options.js";

type Options = StateOptions & { json?: boolean };

const SIMPLE = [
  ["pause", "pause a run at its next safe point; the application is not affected"],
  ["continue", "let a paused run go on"],
  ["stop", "stop a run at its next safe point; partway resume goes on"],
] as const;

export function controlCommands(program: CommandLine, act: Act): void {
  const watching = program
    .command("watch [id]")
    .description("the screen of a run that another process drives; leaving it stops nothing");
  withJson(withState(watching));
  example(watching, "partway watch orders_3f9a1c");
  watching.action((id: string | undefined, options: Options) =>
    act(options, () => follow({ ...options, id }, options.json === true)),
  );

  const tell = async (command: Command, id: string | undefined, options: Options): Promise<number> => {
    const asked = isWaiting(command) ? await askFromHook(command, { ...options, id }) : null;
    const done = asked ?? (await control(command, { ...options, id }));
    process.stdout.write(
      options.json === true ? `${JSON.stringify(done)}\n` : `${done.id}: ${done.message}\n`,
    );
    return EXIT.done;
  };
  for (const [name, description] of SIMPLE) {
    const command = program.command(`${name} [id]`).description(description);
    withJson(withState(command));
    example(command, `partway ${name} orders_3f9a1c`);
    command.action((id: string | undefined, options: Options) => act(options, () => tell(name, id, options)));
  }

  const throttle = program
    .command("throttle [id] [share]")
    .description("work slower, faster, off (full speed), or so many percent of the time; a resume keeps it");
  withJson(withState(throttle));
  example(throttle, "partway throttle orders_3f9a1c slower", "partway throttle 25", "partway throttle off");
  throttle.action((first: string | undefined, second: string | undefined, options: Options) =>
    act(options, async () => {
      const [id, share] = second === undefined ? [undefined, first] : [first, second];
      return tell(throttleOf(share), id, options);
    }),
  );

  const postpone = program
    .command("postpone [id]")
    .description("do not cut over by itself: rest at ready, staying current")
    .option("--off", "allow the cutover again");
  withJson(withState(postpone));
  example(postpone, "partway postpone orders_3f9a1c", "partway postpone orders_3f9a1c --off");
  postpone.action((id: string | undefined, options: Options & { off?: boolean }) =>
    act(options, () => tell(options.off === true ? "allow" : "postpone", id, options)),
  );
}

function throttleOf(share: string | undefined): Command {
  if (share === "slower" || share === "faster") return share;
  const command = CommandSchema.safeParse(
    `throttle-${share === "off" ? "100" : (share ?? "").replace(/%$/, "")}`,
  );
  if (command.success) return command.data;
  throw badInput(
    share === undefined ? "it is not said how slow" : `"${share}" is no throttle`,
    "partway throttle slower, faster, off, or the percentage of the time to work: 1 to 100. To rest wholly: partway pause",
  );
}

/** Shows the run until it ends or the watcher leaves; gives the exit code. */
async function follow(options: StateOptions & { id: string | undefined }, json: boolean): Promise<number> {
  const leaving = new AbortController();
  const leave = () => leaving.abort();
  const running = watch({ ...options, signal: leaving.signal });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, leave);
  const shown = await show(running, { json, watching: true, onLeave: leave });
  const result = await running.finished;
  await shown.end(result);
  return result.exitCode;
}

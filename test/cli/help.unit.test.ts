/** `--help` of every command: every option described, and an example that the command itself takes. */
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { buildProgram } from "../../src/commands/program.js";

/** Words of a shell line: single quotes as a person types them. */
const words = (line: string) => (line.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replace(/^'|'$/g, ""));

/** The command line with actions that do nothing, so that examples can be parsed. */
function parsing(): { program: Command; ran: string[] } {
  const ran: string[] = [];
  const program = buildProgram(() => Promise.resolve());
  for (const command of program.commands) {
    command.action(() => {
      ran.push(command.name());
    });
    command.configureOutput({ writeErr: () => undefined });
  }
  return { program, ran };
}

function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({
    writeOut: (piece) => {
      text += piece;
    },
  });
  command.outputHelp();
  return text;
}

const names = parsing().program.commands.map((command) => command.name());

test("a command would be missing from the manual", () => {
  expect(names).toEqual(expect.arrayContaining(["plan", "run", "resume", "cutover", "rollback", "finalize"]));
  expect(names).toEqual(expect.arrayContaining(["abort", "list", "status", "verify", "restore", "demo"]));
  expect(helpOf(parsing().program)).toMatch(/Exit codes: 0 done; .* 7 /s);
});

describe.each(names)("partway %s", (name) => {
  const find = () => {
    const { program, ran } = parsing();
    const command = program.commands.find((one) => one.name() === name);
    if (command === undefined) throw new Error(`no command ${name}`);
    return { program, ran, command };
  };

  test("would have an option or a purpose that nobody explains", () => {
    const { command } = find();
    expect(command.description()).toMatch(/\w{3}/);
    for (const option of command.options) expect(option.description, option.flags).toMatch(/\w{3}/);
  });

  test("would show an example that it refuses", async () => {
    const help = helpOf(find().command);
    const examples = (help.split("\nExample:\n")[1] ?? "")
      .trim()
      .split("\n")
      .map((line) => line.trim());
    expect(examples.length).toBeGreaterThan(0);
    for (const example of examples) {
      const { program, ran } = find();
      const [partway, ...args] = words(example);
      expect(partway).toBe("partway");
      await program.parseAsync(args, { from: "user" });
      expect(ran, example).toEqual([name]);
    }
  });

  test("would fold lines at 80 columns into something unreadable", () => {
    const { command } = find();
    command.configureHelp({ helpWidth: 80 });
    for (const line of helpOf(command).split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
  });
});

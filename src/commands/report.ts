/** `partway report`: the page about a migration, to the terminal or into a file. */
import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { badInput, EXIT, messageOf } from "../errors.js";
import { type ReportFormat, type ReportOptions, report } from "../report.js";
import type { Act } from "./act.js";
import { example, withConnection, withState } from "./options.js";

interface Options extends Omit<ReportOptions, "format" | "id"> {
  html?: boolean;
  md?: boolean;
  out?: string;
}

export function reportCommand(program: Command, act: Act): void {
  const command = program
    .command("report [id]")
    .description("one self-contained page about a migration: what was asked, what came of it, with pictures");
  withState(withConnection(command))
    .option("--html", "a web page (default in a pipe)")
    .option("--md", "Markdown (default at a terminal)")
    .option("--out <file>", "write it there; .html or .md says which");
  example(command, "partway report orders_3f9a1c --out orders.html");
  command.action((id: string | undefined, options: Options) =>
    act(options, async () => {
      const format = formatOf(options);
      const text = await report({ ...options, id, format });
      if (options.out === undefined) process.stdout.write(text);
      else await write(options.out, text);
      return EXIT.done;
    }),
  );
}

function formatOf({ html, md, out }: Options): ReportFormat {
  if (html === true && md === true) throw badInput("--html and --md exclude each other", "Give one of them.");
  if (html === true) return "html";
  if (md === true) return "md";
  if (out !== undefined) return /\.(md|markdown)$/i.test(out) ? "md" : "html";
  return process.stdout.isTTY === true ? "md" : "html";
}

async function write(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text);
  } catch (error) {
    throw badInput(`--out ${file}: ${messageOf(error)}`, "Name a file that can be written.", error);
  }
  process.stderr.write(`written: ${file}\n`);
}

/** Text of a database as markdown (GitHub, GitLab, most ticket systems), so that it shows as it is. Pure. */
import { oneLine } from "../../ui/format.js";

/** Prose: nothing in it is read as markup. A name like created_at stays readable in the source. */
export function prose(text: string): string {
  return oneLine(text)
    .replaceAll(/[\\`*[\]~]/g, "\\$&")
    .replaceAll(/(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, "\\_")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replace(/^(\d+)([.)])(?= |$)/, "$1\\$2")
    .replace(/^[#>+-]/, "\\$&");
}

/** A code span, with as many backticks as it takes. */
export function code(text: string): string {
  const inner = oneLine(text);
  const longest = Math.max(0, ...[...inner.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  const pad = longest > 0 || inner === "" ? " " : "";
  return `${fence}${pad}${inner}${pad}${fence}`;
}

/** A fenced block; longer fences where a line holds one. Control and format characters go, as in `oneLine`. */
export function block(language: string, raw: readonly string[]): string {
  const lines = raw.map((line) => line.replaceAll("\t", "  ").replace(/[\p{Cc}\p{Cf}]/gu, ""));
  const longest = Math.max(
    2,
    ...lines.flatMap((line) => [...line.matchAll(/`+/g)].map(([run]) => run.length)),
  );
  const fence = "`".repeat(longest + 1);
  return [`${fence}${language}`, ...lines, fence].join("\n");
}

/** A table of cells that are markdown already; a bar in one would end it, in a code span too. Empty without rows. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** `## title` and what follows it; nothing where there is nothing. `level`: the number of `#`. */
export function section(level: number, title: string, ...parts: readonly string[]): string {
  const there = parts.filter((part) => part !== "");
  return there.length === 0 ? "" : [`${"#".repeat(level)} ${title}`, ...there].join("\n\n");
}

/** The parts that are not empty, one empty line between them, and a line end. */
export function page(...parts: readonly string[]): string {
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

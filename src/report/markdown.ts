/** The document as Markdown. Everything that is not ours is escaped: it may hold anything. */
import { oneLine } from "../../ui/format.js";
import type { Block, Cell, Doc } from "./doc.js";

/** Characters that mean something in GitHub's Markdown, within a line. */
const SPECIAL = /[\\`*_[\]<>|~&]/g;

/** And those that do so at its beginning: heading, list, rule. */
const LEADING = /^(?:[#+=-]|\d+(?=[.)](?:\s|$)))/;

/** Text from anywhere as plain text of one line. Links are not made of bare addresses either. */
export function escapeMarkdown(text: string): string {
  return oneLine(text)
    .replace(SPECIAL, "\\$&")
    .replaceAll("://", ":\\/\\/")
    .replace(LEADING, (found) => (/\d/.test(found) ? `${found}\\` : `\\${found}`));
}

export function renderMarkdown(doc: Doc): string {
  const lines = [
    `# ${escapeMarkdown(doc.title)}: ${escapeMarkdown(doc.state.text)}`,
    escapeMarkdown(doc.sentence),
    table(
      doc.tiles.map(({ label }) => label),
      [],
      [doc.tiles.map(({ value }) => value)],
    ),
    ...doc.sections.flatMap(({ title, blocks }) => [`## ${escapeMarkdown(title)}`, ...blocks.map(block)]),
    `---\n\n${escapeMarkdown(doc.footer)}`,
  ];
  return `${lines.join("\n\n")}\n`;
}

function block(one: Block): string {
  switch (one.kind) {
    case "text":
      return one.tone === "bad" ? `**${escapeMarkdown(one.text)}**` : escapeMarkdown(one.text);
    case "facts":
      return one.rows.map(([label, value]) => `- ${escapeMarkdown(label)}: ${cell(value)}`).join("\n");
    case "table":
      return table(one.head, one.right ?? [], one.rows);
    case "code":
      return `${escapeMarkdown(one.title)}:\n\n${fenced(one.text)}`;
    case "timeline":
      return table(
        ["phase", "from", "took"],
        [],
        one.timeline.rows.flatMap(({ name, bars }) =>
          bars.map((bar) => [name, new Date(bar.from).toISOString().slice(0, 19), bar.label]),
        ),
      );
    case "line":
      return `${escapeMarkdown(one.chart.title)}: ${escapeMarkdown(one.chart.words)}`;
  }
}

function table(head: readonly string[], right: readonly number[], rows: readonly Cell[][]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    line(head.map(escapeMarkdown)),
    line(head.map((_, at) => (right.includes(at) ? "--:" : "---"))),
    ...rows.map((row) => line(head.map((_, at) => cell(row[at] ?? "")))),
  ].join("\n");
}

function cell(one: Cell): string {
  if (typeof one === "string") return escapeMarkdown(one);
  return one.tone === "bad" ? `**${escapeMarkdown(one.text)}**` : escapeMarkdown(one.text);
}

/** A fence longer than any within. */
function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  // Escape sequences of another session's text must not reach a terminal.
  const safe = text
    .split("\n")
    .map((line) => line.replace(/[\p{Cc}\p{Cf}]/gu, ""))
    .join("\n");
  return `${fence}text\n${safe}\n${fence}`;
}

/** The configured queries and the sizes. */
import { bytes, count, millis } from "../../../ui/format.js";
import { type Block, type Cell, folded, type Section, toned } from "../doc.js";
import { type EventOf, eventsOf, type History } from "../history.js";

type Query = EventOf<"query">;

export function queriesSection(history: History): Section {
  const all = eventsOf(history, "query");
  const names = [...new Set(all.map(({ name }) => name))];
  if (names.length === 0)
    return {
      title: "Queries before and after",
      blocks: [
        {
          kind: "text",
          text: "Not measured: the configuration names no queries for this table.",
          tone: "quiet",
        },
      ],
    };
  const pairs = names.map((name) => ({
    name,
    before: newest(all, name, "before"),
    after: newest(all, name, "after"),
  }));
  const total = history.plan.leaves.length;
  const summary: Block = {
    kind: "table",
    head: ["query", "before", "after", "change", "leaves read"],
    right: [1, 2, 3, 4],
    rows: pairs.map(({ name, before, after }) => [
      name,
      time(before),
      time(after),
      change(before, after),
      after === null || after.leavesScanned === null
        ? ""
        : `${count(after.leavesScanned)} of ${count(total)}`,
    ]),
  };
  const note: Block = {
    kind: "text",
    tone: "quiet",
    text: "Each was run twice by EXPLAIN (ANALYZE, BUFFERS, TIMING) on the live server; the second run counts. Before: on the old table at the end of validation; after: on the new one right after cutover. The plans are at the end.",
  };
  return { title: "Queries before and after", blocks: [summary, note] };
}

/** Long, and for who wants to know why: the last pages. Null: nothing was measured. */
export function plansSection(history: History): Section | null {
  const all = eventsOf(history, "query");
  const blocks = [...new Set(all.map(({ name }) => name))].flatMap((name): Block[] => {
    const [before, after] = [newest(all, name, "before"), newest(all, name, "after")];
    const sql = before?.sql ?? after?.sql ?? "";
    const text = `${sql}\n\n${planOf(before, "before")}\n\n${planOf(after, "after")}`;
    return [{ kind: "code", title: name, text }];
  });
  return blocks.length === 0 ? null : { title: "Query plans", blocks };
}

function planOf(one: Query | null, when: string): string {
  if (one === null) return `-- ${when}: not measured`;
  const runs = one.runs.map(fine).join(", then ");
  return `-- ${when}${runs === "" ? "" : `: ${runs}`}\n${one.plan ?? one.error ?? ""}`;
}

function newest(all: readonly Query[], name: string, when: Query["when"]): Query | null {
  return all.findLast((one) => one.name === name && one.when === when) ?? null;
}

function time(one: Query | null): Cell {
  if (one === null) return toned("not measured", "quiet");
  if (one.error !== null) return toned("failed", "bad");
  return fine(one.runs.at(-1) ?? 0);
}

/** Queries take less than a millisecond, too. */
function fine(ms: number): string {
  return ms < 100 ? `${ms.toFixed(ms < 10 ? 2 : 1)} ms` : millis(ms);
}

function change(before: Query | null, after: Query | null): Cell {
  const [a, b] = [before?.runs.at(-1), after?.runs.at(-1)];
  if (a === undefined || b === undefined || a <= 0 || b <= 0) return "";
  const factor = b / a;
  // Two single runs differ by so much on their own.
  if (factor > 0.67 && factor < 1.5) return "about the same";
  return factor < 1
    ? toned(`${(a / b).toFixed(1)}x faster`, "good")
    : toned(`${factor.toFixed(1)}x slower`, "bad");
}

export function sizesSection(history: History): Section {
  const { source } = history.plan;
  const then = eventsOf(history, "sizes").at(-1) ?? null;
  const now = "why" in history.sizes ? null : history.sizes;
  const row = (
    name: string,
    size: { heap: number; toast: number; indexes: number } | null | undefined,
  ): Cell[][] =>
    size === null || size === undefined
      ? []
      : [
          [
            name,
            bytes(size.heap),
            bytes(size.toast),
            bytes(size.indexes),
            bytes(size.heap + size.toast + size.indexes),
          ],
        ];
  const planned = { heap: source.heapBytes, toast: source.toastBytes, indexes: source.indexBytes };
  const totals: Block = {
    kind: "table",
    head: ["", "heap", "toast", "indexes", "total"],
    right: [1, 2, 3, 4],
    rows: [
      ...row("old table, when planned", planned),
      ...row("old table, when validated", then?.source),
      ...row("new table, when validated", then?.partitioned),
      ...row("old table, now", now?.source),
      ...row("new table, now", now?.partitioned),
    ],
  };
  const blocks: Block[] = [totals];
  if ("why" in history.sizes)
    blocks.push({
      kind: "text",
      text: `Sizes of this moment: not measured (${history.sizes.why}).`,
      tone: "quiet",
    });
  const leaves = (now?.partitioned === null ? null : now?.leaves) ?? then?.leaves ?? [];
  if (leaves.length > 0)
    blocks.push({
      kind: "table",
      head: [`largest of ${count(history.plan.leaves.length)} leaves`, "rows and toast", "indexes"],
      right: [1, 2],
      rows: folded(
        leaves.map((leaf) => [leaf.leaf, bytes(leaf.bytes), bytes(leaf.indexBytes)]),
        12,
      ),
    });
  return { title: "Sizes", blocks };
}

import { afterEach, expect, test } from "vitest";
import { documentOf } from "../../src/report/document.js";
import { escapeMarkdown, renderMarkdown } from "../../src/report/markdown.js";
import { renderHtml } from "../../src/report/page.js";
import { stretchesOf } from "../../src/report/story.js";
import { planOf, table } from "../plan/fixture.js";
import { temporaryDirectory } from "../state/journal-support.js";
import { at, begun, fill, historyOf, ID, type Writer } from "./fixture.js";

const directory = temporaryDirectory();
let writer: Writer | null = null;
afterEach(() => writer?.journal.close());

function filled(text?: string, plan = planOf()): Writer {
  writer = begun(directory.file(), plan);
  fill(writer, text);
  return writer;
}

/** Text of the page, without its style sheet. */
const shown = (html: string): string =>
  html
    .replace(/<style>.*?<\/style>/s, "")
    .replaceAll(/<[^>]+>/g, " ")
    .replaceAll(/\s+/g, " ");

test("somebody who was not there would not learn what was asked and what came of it", () => {
  const { sentence, state, tiles } = documentOf(historyOf(filled()));
  expect(sentence).toBe(
    "On 2026-03-15 10:00 UTC the table public.orders (about 5,000,000 rows, 900 MB) was to be partitioned by RANGE (created_at), one leaf a month; " +
      "it has been since 2026-03-15 11:00 UTC, after 7,200 rows were compared and found equal, and the old table is kept as orders_retired, BUT 1 of 2 smoke checks failed.",
  );
  expect(state.text).toBe("cut over, in the retention window");
  expect(Object.fromEntries(tiles.map(({ label, value }) => [label, value]))).toMatchObject({
    "rows compared": "7,200",
    "locks held at cutover": "61 ms",
    "longest stall of a writer": "108 ms",
    interruptions: "1",
    "smoke checks passed": "1 of 2",
  });
});

test("a killed process would pass for one that worked until the next one came", () => {
  const [shadow, copy, resumed] = stretchesOf(historyOf(filled()));
  expect(shadow).toMatchObject({ state: "shadow", how: "done" });
  expect(copy).toEqual({ state: "copy", how: "lost", from: Date.parse(at(2)), to: Date.parse(at(5)) });
  expect(resumed).toMatchObject({ state: "copy", how: "done", from: Date.parse(at(3606)) });
});

test("a page for people would lack one of the things they ask for", () => {
  const text = shown(renderHtml(documentOf(historyOf(filled()))));
  for (const part of [
    "could not be asked: connect ECONNREFUSED 10.0.0.7:5432",
    "pid 4711 (shop), open 12s: SELECT shop",
    "To go back: partway rollback orders_3f9a1c",
    "7,200 3 42424242 42424242",
    "80.0 ms 10.0 ms 8.0x faster 2 of 5",
    "2 GB by the whole server 1.34",
    "validate 5.3s to 21s 2.0s 0.38 of 5.3s",
    "the process vanished",
    "Latency of single statements during the run: not measured",
    "Sizes of this moment: not measured",
    "a warning shop",
    "PostgreSQL 15.18",
    "// 1h 00m",
    "At most 40 keys, at last 12",
  ])
    expect(text).toContain(part);
});

const HOSTILE = `<script>alert(1)</script> "><img src=x onerror=y> \`\`\` | [a](http://evil.example) ](x)`;

test("what a database or another session says would run in the reader's browser", () => {
  const hostile = planOf({ table: { ...table(), comment: HOSTILE, name: `o"><b>` } });
  const html = renderHtml(documentOf(historyOf(filled(HOSTILE, hostile))));
  const tags = new Set([...html.matchAll(/<([a-z!/][a-z0-9]*)/gi)].map(([, tag]) => tag));
  for (const tag of ["script", "img", "b", "a", "link", "iframe"]) expect(tags).not.toContain(tag);
  expect(html).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
  expect(html).not.toMatch(/<[^>]+\son[a-z]+=/i);
});

test("the page would load something from somewhere", () => {
  const html = renderHtml(documentOf(historyOf(filled())));
  expect(html).not.toMatch(/<(script|link|iframe|object|embed)\b|\s(src|href)=|url\(|@import/i);
  expect(html).toContain("default-src &#x27;none&#x27;");
});

test("the Markdown would turn foreign text into markup", () => {
  const text = renderMarkdown(documentOf(historyOf(filled(HOSTILE))));
  const outside = text.replaceAll(/^(`{3,})text\n[\s\S]*?\n\1$/gm, "");
  expect(outside).not.toMatch(/(^|[^\\])<(script|img)/);
  expect(outside).not.toMatch(/[^\\]\]\(/);
  expect(outside).not.toMatch(/http:\/\//);
  // A fence within the text does not end the block it stands in.
  expect(text).toMatch(/^````text$/m);
  expect(escapeMarkdown("a | b\n# c")).toBe("a \\| b # c");
  expect(escapeMarkdown("1. x")).toBe("1\\. x");
  expect(escapeMarkdown("1.5 s")).toBe("1.5 s");
  expect(escapeMarkdown("\u001b[31mred")).not.toContain("\u001b");
});

test("a migration that has done nothing yet could not be reported", () => {
  writer = begun(directory.file());
  const doc = documentOf(historyOf(writer));
  expect(doc.sentence).toContain("it stands at backup, nothing has been switched");
  expect(shown(renderHtml(doc))).toContain("Not measured");
  expect(renderMarkdown(doc)).toContain("It has not been tried");
});

test.each([
  ["done", "the old table is gone"],
  ["rolled-back", "it was rolled back at 2026-03-15 12:00 UTC"],
  ["aborted", "the table is as it was"],
] as const)("a migration that ended as %s would be told as another", (outcome, part) => {
  const { journal } = filled();
  if (outcome === "rolled-back") {
    const swap = { tries: 1, waitedMs: 1, heldMs: 50, longestStallMs: 0 };
    journal.cutover(ID, { direction: "reverse", ...swap, at: at(7200) });
  }
  journal.transition({
    migration: ID,
    from: "retain",
    to: outcome,
    event: "DONE",
    snapshot: {},
    outcome,
    at: at(7201),
  });
  expect(documentOf(historyOf({ ...filledAlready(), journal })).sentence).toContain(part);
});

function filledAlready(): Writer {
  if (writer === null) throw new Error("filled first");
  return writer;
}

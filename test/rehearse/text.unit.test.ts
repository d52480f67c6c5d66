import { expect, test } from "vitest";
import { rehearsalMarkdown, rehearsalText } from "../../src/commands/rehearse-text.js";
import type { RehearsalReport } from "../../src/rehearsal.js";

const REPORT: RehearsalReport = {
  migration: "orders_3f9a1c",
  table: "public.orders",
  from: "pg_stat_statements",
  limits: [],
  open: [1],
  statements: [
    {
      ...{
        n: 1,
        text: "SELECT 1 /* \u001b[2J ``` | */ FROM orders",
        calls: 28,
        meanMs: null,
        verdict: "breaks",
      },
      ...{ reasons: ["42P10: \u001b]0;x\u0007 no <constraint>"], advice: [], leaves: null, cost: null },
      ...{ indexes: { before: [], lost: [] }, measured: null },
    },
  ],
};

test("another session's statement would steer the operator's terminal", () => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not come through.
  expect(rehearsalText(REPORT)).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
});

test("a statement would end its block in the ticket, or a message become markup", () => {
  const text = rehearsalMarkdown(REPORT);
  expect(text).toMatch(/^````sql\n[^`]*```[^`]*\n````$/m);
  expect(text).toContain("no &lt;constraint>");
  expect(text).not.toContain("\u001b");
  // The statement's own bar and backticks stay in its cell.
  expect(text.split("\n").find((line) => line.startsWith("| 1 "))).toMatch(/\\\| .*FROM orders ```` \|$/);
});

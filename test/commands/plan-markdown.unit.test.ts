/** The plan in a change-approval ticket: who approves must find costs, risks, the way back, and who is to be told. */
import { expect, test } from "vitest";
import { plansMarkdown } from "../../src/commands/all-markdown.js";
import { planMarkdown } from "../../src/commands/plan-markdown.js";
import { parseRequest } from "../../src/config/request.js";
import { requestOptions, shellWord, tableName } from "../../src/plan/typed.js";
import { column, planOf, primaryKey } from "../plan/fixture.js";

/** The section called `title`, without its heading. */
function sectionOf(text: string, title: string): string {
  const [, after = ""] = text.split(`\n## ${title}\n`);
  return after.split("\n## ")[0] ?? "";
}

test("an approver would not find one of the things that are approved", () => {
  const text = planMarkdown(planOf());
  expect(text.split("\n")[0]).toBe(
    "# Partition `public.orders` by `RANGE (created_at), one leaf a month, bounds in UTC`",
  );
  expect([...text.matchAll(/^## (.*)$/gm)].map(([, title]) => title)).toEqual([
    "What will change",
    "Leaves",
    "What it costs",
    "What could go wrong, and what Partway does then",
    "How to go back, and until when",
    "Steps",
    "Who must be told: what changes for the application",
  ]);
  expect(text).toContain("Nothing is refused");
  const costs = sectionOf(text, "What it costs");
  expect(costs).toMatch(/29 s to 2 min.*\n.*940 MB.*\n.*1.49 GB/);
  expect(costs).toContain("No sample was taken: in proportion to a measured table of 900 MB");
  expect(costs).toMatch(/0\.71 to 0\.91.*trust the order more than the digits/);
  expect(sectionOf(text, "How to go back, and until when")).toMatch(
    /partway abort <id>[\s\S]*`24h` after cutover[\s\S]*partway rollback <id>/,
  );
  const leaves = sectionOf(text, "Leaves");
  expect(leaves).toMatch(
    /^\n5 in all\.\n\n.*\n.*\n\| first \| `orders_2026_01` \| `\[2026-01-01 00:00:00\+00, 2/,
  );
  expect(leaves).toContain("| last | `orders_2026_05` |");
  expect(sectionOf(text, "Who must be told: what changes for the application")).toMatch(
    /^\n- \[ \] \("id"\) alone will no longer be unique/,
  );
});

test("a step would be typed that Partway does not take, or means another migration", () => {
  const options = {
    ...{ by: "created_at", every: "week", ahead: "3", leaf: "{table}_{IYYY}_{IW}" },
    ...{ keep: "3d", key: "orders pkey", incomingFk: "drop" },
  };
  const text = sectionOf(planMarkdown(planOf({ options })), "Steps");
  const typed =
    "public.orders --by created_at --every week --ahead 3 --leaf '{table}_{IYYY}_{IW}' --keep 3d --key 'orders pkey' --incoming-fk drop";
  expect(text).toContain(`partway run ${typed} --until validate\n`);
  expect(text).toContain(`partway plan ${typed}\n`);
});

test.each([
  { by: "created_at", every: "month", keep: "90m" },
  { by: '"odd ""name"', list: 'eu,"a, b",""', keep: "0s" },
  { by: "id", step: "1000000", ahead: "0" },
  { by: "createdAt", hash: "8", keep: "24h" },
])("%j would be typed as something else than it is", (options) => {
  const request = parseRequest("t", options);
  const words = [...requestOptions(request).matchAll(/'((?:[^']|'\\'')*)'|(\S+)/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll("'\\''", "'") ?? plain ?? "",
  );
  const pairs = words.flatMap((word, at) => (at % 2 === 0 ? [[word.slice(2), words[at + 1] ?? ""]] : []));
  expect(parseRequest("t", Object.fromEntries(pairs))).toEqual(request);
});

test("a table with capitals would be another one at the shell", () => {
  expect(shellWord(tableName("public", "Conversation"))).toBe(`'public."Conversation"'`);
  expect(shellWord(tableName("auth", "it's"))).toBe(`'auth."it'\\''s"'`);
  expect(shellWord(tableName("auth", "user_sessions"))).toBe("auth.user_sessions");
});

test("what is refused would be approved, or its remedy missing", () => {
  const indexes = [
    primaryKey("orders_pkey", ["id"]),
    { ...primaryKey("o|dd`key", ["region"]), primary: false, constraint: null },
  ];
  const text = planMarkdown(planOf({ table: { indexes } }));
  expect(text).toContain("**Not ready to run: 1 finding to be mended first");
  expect(sectionOf(text, "Refused: to be mended first")).toMatch(
    /^\n- \[ \] \*\*.*o\|dd\\`key.*\(`unique-without-partition-key`\)\n {2}- why: .*\n {2}- remedy: \S/,
  );
});

test("a plan without leaves or key could not be read", () => {
  const text = planMarkdown(planOf({ table: { indexes: [], columns: [column("id", "bigint")] } }));
  expect(text).toContain("None can be laid out");
  expect(text).toContain("`no-key`");
});

test("with --all an approver would miss a table, the order or the sum", () => {
  const one = {
    ...{ priority: "high", after: ["public.customers"], together: null },
    ...({ standing: "new", migration: null, error: null } as const),
  };
  const text = plansMarkdown({
    tables: [
      { ...one, table: "public.orders", plan: planOf() },
      { ...one, table: "public.old", standing: "migrated", plan: null },
    ],
    parallel: 2,
    forecast: { tables: 1, seconds: { low: 29, high: 116 }, extraDiskBytes: 9.4e8, walBytes: 1.487e9 },
    exitCode: 0,
  });
  expect(text).toMatch(/^# Partition 2 tables\n\n1 of 2 tables .*29 s to 2 min.* At most 2 at once\./);
  expect(text).toContain("| 1 | `public.orders` | high | `public.customers` | - | would be started |");
  expect(text).toContain(
    "| 2 | `public.old` | high | `public.customers` | - | partitioned already: left as it is |",
  );
  expect(text).toMatch(/^## Partition `public\.orders` by/m);
  expect(text).toMatch(/^### How to go back/m);
  expect(text).toContain("partway run --all --until validate");
});

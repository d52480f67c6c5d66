/** README's section Machines against the code: an alert on a metric that is not there never fires. */
import { expect, test } from "vitest";
import { HOOK_EVENTS } from "../../src/hooks/names.js";
import { HELP } from "../../src/metrics/samples.js";
import { SCHEMAS } from "../../src/schema/publish.js";
import { codeSpans, read, tableOf } from "./markdown.js";

const section = read("README.md").split("### Machines")[1]?.split("\n### ")[0] ?? "";
const spans = codeSpans(section.replaceAll(/^```[\s\S]*?^```$/gm, ""));

test("a metric would be named that there is not", () => {
  const named = spans.filter((span) => /^partway_\w+$/.test(span));
  expect(named.length).toBeGreaterThan(8);
  for (const name of named) expect(Object.keys(HELP)).toContain(name);
});

test("an event would be named that --on refuses, or one be left out", () => {
  const listed = tableOf("README.md", "event").flatMap(([names = ""]) => codeSpans(names));
  const without = listed.map((name) => name.replace(/(:<\w+>)+$/, ""));
  for (const name of without) expect(HOOK_EVENTS).toContain(name);
  for (const name of HOOK_EVENTS)
    expect(new Set(without.map((one) => one.split(":")[0]))).toContain(name.split(":")[0]);
});

test("a schema would be left out", () => {
  expect(spans).toEqual(expect.arrayContaining([...SCHEMAS]));
});

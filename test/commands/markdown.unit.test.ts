/** Text of a database in a ticket: what would be read as markup there is lost or does something else. */
import { expect, test } from "vitest";
import { block, code, prose, table } from "../../src/commands/markdown.js";

test.each([
  ["SELECT * FROM t WHERE a * b", "SELECT \\* FROM t WHERE a \\* b"],
  [
    "created_at stays readable, _this_ is not slanted",
    "created_at stays readable, \\_this\\_ is not slanted",
  ],
  ["<script> & a[1](x) `tick` ~~no~~", "&lt;script> &amp; a\\[1\\](x) \\`tick\\` \\~\\~no\\~\\~"],
  ["# not a title", "\\# not a title"],
  ["- not an item", "\\- not an item"],
  ["12. not a list", "12\\. not a list"],
  ["one\nline\u001b[31m only", "one line\\[31m only"],
])("prose %j would show as something else", (text, shown) => {
  expect(prose(text)).toBe(shown);
});

test.each([
  ["orders", "`orders`"],
  ["odd`name", "`` odd`name ``"],
  ["a``b`c", "``` a``b`c ```"],
  ["", "`  `"],
])("a code span of %j would end too early", (text, shown) => {
  expect(code(text)).toBe(shown);
});

test("a bar in a name would make a cell of its own", () => {
  expect(table(["a", "b"], [[code("x|y"), prose("a|b")]])).toBe(
    "| a | b |\n| --- | --- |\n| `x\\|y` | a\\|b |",
  );
  expect(table(["a"], [])).toBe("");
});

test("a statement with backticks would end its block", () => {
  expect(block("sql", ["SELECT '```'"])).toBe("````sql\nSELECT '```'\n````");
});

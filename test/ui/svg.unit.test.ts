import { expect, test } from "vitest";
import { toSvg } from "./svg.js";

const SIZE = { columns: 20, rows: 2 };
const still = (text: string) => toSvg([{ text, seconds: 1 }], SIZE, "a <title> & more");

test("what a database says would become markup in README's picture", () => {
  const svg = still('<script>alert(1)</script> & "x"');
  expect(svg).not.toContain("<script>");
  expect(svg).toContain("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;x&quot;");
  expect(svg).toContain('aria-label="a &lt;title&gt; &amp; more"');
});

test("colours, weight and inverse would be lost, also those that go on in the next line", () => {
  const svg = still("\u001b[32mgreen\n\u001b[1mbold too\u001b[0m plain \u001b[7minverse\u001b[27m");
  expect(svg).toMatch(/<tspan x="0.0" [^>]*fill="#98c379">green<\/tspan>/);
  expect(svg).toMatch(/class="b" fill="#98c379">bold too<\/tspan>/);
  expect(svg).toMatch(/lengthAdjust="spacingAndGlyphs"> plain <\/tspan>/);
  expect(svg).toMatch(/<rect x="126.0" y="18" [^>]*fill="#d5dbe5"\/>/);
});

test("two frames would stand on each other, or none be seen where motion is not wanted", () => {
  const svg = toSvg(
    ["one", "two"].map((text) => ({ text, seconds: 3 })),
    SIZE,
    "t",
  );
  expect(svg).toContain("@keyframes k1{0%,49.99%{visibility:hidden}");
  expect(svg).toContain(".f1{visibility:hidden;animation:k1 6s steps(1) infinite}");
  expect(svg).toMatch(/prefers-reduced-motion:reduce\)\{\.f1\{animation:none;visibility:visible\}/);
  expect(svg).toMatch(/prefers-reduced-motion:reduce\)\{\.f0\{animation:none;visibility:hidden\}/);
});

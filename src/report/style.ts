/** The page's one style sheet: light and dark by the reader's own setting, and fit for paper. */
export const STYLE = /*css*/ `
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1d2430; --quiet: #657083; --line: #dfe3ea; --panel: #f5f7fa;
  --good: #1a7f4b; --warn: #a35c00; --bad: #c0262d; --accent: #2f6fde; --area: #2f6fde26;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161d; --ink: #e4e8ef; --quiet: #98a3b5; --line: #2c3442; --panel: #1a202a;
    --good: #53c98a; --warn: #eaa94a; --bad: #ff7b7b; --accent: #7aa7ff; --area: #7aa7ff26;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 .75rem .25rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.4rem 0 .7rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
h3 { font-size: .9rem; margin: 1.1rem 0 .3rem; font-weight: 600; }
p { margin: .5rem 0; }
header .head { display: flex; flex-wrap: wrap; align-items: center; }
.lead { font-size: 1.08rem; max-width: 52rem; margin: .8rem 0 1.4rem; }
.chip {
  border: 1px solid currentColor; border-radius: 1rem; padding: .1rem .75rem; font-size: .85rem; font-weight: 600;
  white-space: nowrap;
}
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); font-weight: 600; }
.quiet { color: var(--quiet); }
p.quiet { font-size: .87rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.6rem, 1fr)); gap: .7rem; margin: 0; }
.tile { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .65rem .85rem; }
.tile dt { color: var(--quiet); font-size: .78rem; line-height: 1.25; }
.tile dd { margin: .15rem 0 0; font-size: 1.25rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .34rem .9rem .34rem 0; overflow-wrap: break-word; }
th { color: var(--quiet); font-weight: 600; font-size: .78rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
td { border-bottom: 1px solid var(--line); min-width: 4rem; max-width: 34rem; }
tr:last-child td { border-bottom: 0; }
.right { text-align: right; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.4rem; margin: 0; font-size: .92rem; }
.facts dt { color: var(--quiet); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
pre {
  background: var(--panel); border: 1px solid var(--line); border-radius: .4rem; padding: .7rem .9rem; margin: .3rem 0;
  overflow-x: auto; font: 12px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
}
svg { display: block; width: 100%; height: auto; margin: .3rem 0; }
svg text { font: 11px system-ui, -apple-system, "Segoe UI", Arial, sans-serif; fill: var(--quiet); font-variant-numeric: tabular-nums; }
svg .name { fill: var(--ink); font-size: 12px; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .curve { fill: none; stroke: var(--accent); stroke-width: 1.6; stroke-linejoin: round; }
svg .area { fill: var(--area); }
svg .dot { fill: var(--accent); }
svg .break { stroke: var(--quiet); stroke-width: 1; stroke-dasharray: 2 3; }
svg .bar-good { fill: var(--good); } svg .bar-plain { fill: var(--accent); }
svg .bar-warn { fill: var(--warn); } svg .bar-bad { fill: var(--bad); } svg .bar-quiet { fill: var(--quiet); }
footer { margin-top: 3rem; color: var(--quiet); font-size: .82rem; border-top: 1px solid var(--line); padding-top: .8rem; }
@media print {
  :root {
    --paper: #ffffff; --ink: #000000; --quiet: #4a5261; --line: #c9ced6; --panel: #ffffff;
    --good: #12663b; --warn: #8a4d00; --bad: #a81b22; --accent: #1f56b5; --area: #1f56b522;
  }
  @page { size: A4; margin: 16mm 14mm; }
  body { max-width: none; padding: 0; font-size: 10.5pt; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  h2 { margin-top: 1.5rem; break-after: avoid; } h3 { break-after: avoid; }
  table { font-size: 8.5pt; } thead { display: table-header-group; }
  tr, .tile, svg, .facts > * { break-inside: avoid; }
  .scroll { overflow: visible; }
  td { overflow-wrap: anywhere; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 7.5pt; }
}
`;

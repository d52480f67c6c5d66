/** The status page's one style sheet: the report's own, and what a page of tables needs on top. */
import { STYLE } from "../report/style.js";

export const PAGE_STYLE = `${STYLE}
body { max-width: 74rem; padding-top: 1.8rem; }
tbody th { color: var(--ink); font-size: inherit; white-space: nowrap; padding-right: .9rem; }
tbody th, tbody td { border-bottom: 1px solid var(--line); }
tbody td { min-width: 0; white-space: nowrap; }
tbody tr:last-child th { border-bottom: 0; }
tbody td.says { white-space: normal; min-width: 18rem; }
.finding td { white-space: normal; }
.finding td { padding-left: 1rem; max-width: none; font-size: .95em; }
tr:has(+ .finding) > * { border-bottom: 0; }
code { font: 12px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
`;

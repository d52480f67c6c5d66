/** The status page: one document from the server, without script and without anything from elsewhere. Pure. */
import { createHash } from "node:crypto";
import { html, raw } from "hono/html";
import { bytes } from "../../ui/format.js";
import type { HealthStatus } from "../care/health.js";
import type { Overview } from "./desk.js";
import type { TableView } from "./overview.js";
import type { JobRun } from "./store.js";
import { PAGE_STYLE } from "./style.js";

/** Nothing runs, nothing is loaded, nobody frames it; of styles this one alone. */
export const CSP = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(PAGE_STYLE, "utf8").digest("base64")}'`,
  ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
].join("; ");

/** Seconds until a browser asks again. */
const REFRESH = 30;
const SHOWN_RUNS = 20;

type Html = ReturnType<typeof html>;

export function pageOf({ tables, status, runs }: Overview, server: string): Html {
  const { enabled, reason } = status.scheduler;
  const ill = tables.filter(({ health }) => health.status !== "HEALTHY").length;
  const lead =
    tables.length === 0
      ? "No table is in care."
      : ill === 0
        ? `${count(tables.length, "table")} in care, all healthy.`
        : `${ill} of ${count(tables.length, "table")} in care ${ill === 1 ? "needs" : "need"} attention.`;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="${REFRESH}">
<title>${ill === 0 ? "" : `(${ill}) `}Partway</title>
<style>${raw(PAGE_STYLE)}</style>
</head>
<body>
<header>
<h1>Partitions in care</h1>
<p class="quiet">${server} &middot; ${minute(status.now)} UTC &middot; Partway ${status.version}</p>
<p class="lead">${lead} ${
    enabled
      ? html`<span class="quiet">The scheduler is on.</span>`
      : html`<strong class="warn">The scheduler is disabled: ${reason ?? ""}.</strong>`
  }</p>
</header>
<main>
<section>
<h2>Tables</h2>
${tables.length === 0 ? html`<p class="quiet">Take one over: <code>partway adopt orders</code></p>` : tablesOf(tables)}
</section>
<section>
<h2>Jobs</h2>
${jobsOf(status.jobs, enabled)}
</section>
<section>
<h2>Latest runs</h2>
${runs.length === 0 ? html`<p class="quiet">None yet.</p>` : runsOf(runs.slice(0, SHOWN_RUNS))}
</section>
</main>
</body>
</html>
`;
}

function tablesOf(tables: readonly TableView[]): Html {
  const rows = tables.map(
    ({ table, enabled, health, pendingCleanup }) => html`<tr>
<th scope="row">${table}${enabled ? "" : html` <span class="quiet">(disabled)</span>`}</th>
<td><span class="chip ${toneOf(health.status)}">${health.status}</span></td>
<td class="right">${health.leaves}</td>
<td class="right">${rowsText(health.rows)}</td>
<td class="right">${bytes(health.bytes)}</td>
<td>${health.coveredUntil === null ? html`<span class="bad">not even now</span>` : minute(health.coveredUntil)}</td>
<td class="right">${pendingCleanup === 0 ? "" : pendingCleanup}</td>
<td>${health.lastMaintenance === null ? html`<span class="quiet">never</span>` : minute(health.lastMaintenance)}</td>
</tr>${health.findings.map(
      ({ level, what, next }) => html`
<tr class="finding"><td colspan="8"><span class="${toneOf(level)}">${level}</span> ${what}
<span class="quiet">Next:</span> <code>${next}</code></td></tr>`,
    )}`,
  );
  return html`<div class="scroll"><table>
<thead><tr><th scope="col">table</th><th scope="col">health</th><th scope="col" class="right">partitions</th>
<th scope="col" class="right">rows, about</th><th scope="col" class="right">size</th><th scope="col">covered until, UTC</th>
<th scope="col" class="right">to clean up</th><th scope="col">last maintenance, UTC</th></tr></thead>
<tbody>${rows}</tbody>
</table></div>`;
}

function jobsOf(jobs: Overview["status"]["jobs"], enabled: boolean): Html {
  const rows = jobs.map(
    ({ name, schedule, run, tables, apply, running, nextRun, lastRun }) => html`<tr>
<th scope="row">${name}</th>
<td><code>${schedule}</code></td>
<td>${run}${apply ? ", takes away what is expired" : ""}${tables.length === 0 ? "" : `: ${tables.join(", ")}`}</td>
<td>${running ? html`<strong>at work</strong>` : enabled && nextRun !== null ? minute(nextRun) : html`<span class="quiet">never</span>`}</td>
<td>${lastRun === null ? html`<span class="quiet">never</span>` : html`${outcomeOf(lastRun)} ${minute(lastRun.scheduledFor)}`}</td>
</tr>`,
  );
  return html`<div class="scroll"><table>
<thead><tr><th scope="col">job</th><th scope="col">schedule, UTC</th><th scope="col">does</th>
<th scope="col">next, UTC</th><th scope="col">last, UTC</th></tr></thead>
<tbody>${rows}</tbody>
</table></div>`;
}

function runsOf(runs: readonly JobRun[]): Html {
  const rows = runs.map(
    (run) => html`<tr>
<td>${minute(run.scheduledFor)}</td>
<th scope="row">${run.job}</th>
<td>${outcomeOf(run)}</td>
<td class="says">${run.message ?? ""}</td>
<td class="quiet">${run.runner}${run.attempts > 1 ? `, try ${run.attempts}` : ""}</td>
</tr>`,
  );
  return html`<div class="scroll"><table>
<thead><tr><th scope="col">due, UTC</th><th scope="col">job</th><th scope="col">outcome</th><th scope="col">what it says</th>
<th scope="col">where</th></tr></thead>
<tbody>${rows}</tbody>
</table></div>`;
}

function outcomeOf({ outcome }: JobRun): Html {
  const tone = { done: "good", unhealthy: "warn", failed: "bad", "": "quiet" } as const;
  return html`<span class="${tone[outcome ?? ""]}">${outcome ?? "not ended"}</span>`;
}

function toneOf(status: HealthStatus): "good" | "warn" | "bad" {
  if (status === "HEALTHY") return "good";
  return status === "CRITICAL" || status === "NO_PARTITIONS" ? "bad" : "warn";
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

function rowsText(rows: number): string {
  return rows.toLocaleString("en-US");
}

/** A time in UTC to the minute; whatever else `coveredUntil` may be (a number, `for ever`) as it is. */
function minute(text: string): string {
  const match = /^(\d{4,}-\d\d-\d\d)[T ](\d\d:\d\d)/.exec(text);
  return match === null ? text : `${match[1]} ${match[2]}`;
}

/** `partway health --watch`: a screen at a terminal, lines of what has changed in a pipe, NDJSON with --json. */
import { createHealthStore } from "../../state/health-view.js";
import { timeOfDay } from "../../ui/format.js";
import { canShowScreen } from "../../ui/terminal.js";
import type { HealthReport } from "../care/health.js";
import type { CareOptions } from "../care.js";
import { watchHealth } from "../care-watch.js";
import { EXIT } from "../errors.js";
import { healthLines } from "./care-text.js";

/** Until the operator leaves. Gives the exit code of the last look. */
export async function followHealth(options: CareOptions, json: boolean): Promise<number> {
  const leaving = new AbortController();
  const leave = () => leaving.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, leave);
  const store = createHealthStore("");
  let refresh = new AbortController();
  const hurry = () => {
    refresh = new AbortController();
    return refresh.signal;
  };
  let screen: { stop(): void; done: Promise<void> } | null = null;
  if (!json && canShowScreen(process.stdout, process.stdin, process.env)) {
    const { startHealthScreen } = await import("../../ui/health/screen.js");
    const { stdout, stdin } = process;
    screen = startHealthScreen({
      source: store,
      stdout,
      stdin,
      onLeave: leave,
      onRefresh: () => refresh.abort(),
    });
  }
  const tell = screen === null ? teller(json) : () => undefined;
  let healthy = true;
  try {
    await watchHealth({
      ...options,
      ...{ signal: leaving.signal, hurry },
      onLook: (view, reports) => {
        healthy = reports.every(({ status }) => status === "HEALTHY");
        store.set(view);
        tell(view.at ?? "", view.trouble, reports);
      },
    });
  } finally {
    screen?.stop();
    await screen?.done;
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, leave);
  }
  return healthy ? EXIT.done : EXIT.unhealthy;
}

/** Says a table again only when its status or its findings are not those last said. */
function teller(json: boolean) {
  const said = new Map<string, string>();
  let trouble: string | null = null;
  return (at: string, why: string | null, reports: readonly HealthReport[]) => {
    if (why !== null && trouble === null) process.stderr.write(`partway: ${why}\n`);
    trouble = why;
    for (const report of reports) {
      const { table, status, findings } = report;
      const news = JSON.stringify([status, findings]);
      if (said.get(table) === news) continue;
      said.set(table, news);
      const lines = json
        ? [JSON.stringify({ at, ...report })]
        : healthLines(report).map((line) => `${timeOfDay(at)}  ${line}`);
      process.stdout.write(`${lines.join("\n")}\n`);
    }
  };
}

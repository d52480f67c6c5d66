/** The runs of this process and the process itself, in Prometheus' text format. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { RunView, ViewSource } from "../../state/view.js";
import { version } from "../version.js";
import { EXTRA_LABEL, HELP, type MetricName, samplesOf } from "./samples.js";

/** A view is rendered at most this often, so that no number of scrapes can keep a run waiting, ms. */
const FRESH_MS = 500;

interface Watched {
  source: ViewSource;
  lockTries: number;
  lastEventAt: number | null;
}

export class Exposition {
  readonly contentType: string;
  readonly #registry = new Registry();
  readonly #metrics = new Map<MetricName, Gauge | Counter>();
  readonly #watched: Watched[] = [];
  #rendered: { at: number; text: Promise<string> } | null = null;

  constructor() {
    this.contentType = this.#registry.contentType;
    collectDefaultMetrics({ register: this.#registry });
    const info = { name: "partway_info", help: "The version that runs", labelNames: ["version"] };
    new Gauge({ ...info, registers: [this.#registry] }).set({ version: version() }, 1);
    for (const name of metricNames()) {
      const extra = EXTRA_LABEL[name];
      const labelNames = ["migration", "table", ...(extra === undefined ? [] : [extra])];
      const made = { name, help: HELP[name], labelNames, registers: [this.#registry] };
      this.#metrics.set(name, name.endsWith("_total") ? new Counter(made) : new Gauge(made));
    }
  }

  /** From now on this run is told of, also after its end: the process may go on with other tables. */
  watch(source: ViewSource): void {
    const watched: Watched = { source, lockTries: 0, lastEventAt: null };
    this.#watched.push(watched);
    let lockTry: RunView["lockTry"] = null;
    source.subscribe(() => {
      const view = source.current();
      if (view.lockTry !== null && view.lockTry !== lockTry) watched.lockTries += 1;
      lockTry = view.lockTry;
      watched.lastEventAt = Date.now();
    });
  }

  /** The text of a scrape. */
  text(): Promise<string> {
    const now = performance.now();
    if (this.#rendered === null || now - this.#rendered.at >= FRESH_MS)
      this.#rendered = { at: now, text: this.#render() };
    return this.#rendered.text;
  }

  #render(): Promise<string> {
    for (const metric of this.#metrics.values()) metric.reset();
    for (const { source, ...facts } of this.#watched) {
      const view = source.current();
      for (const { name, extra, value } of samplesOf(view, facts)) {
        const label = EXTRA_LABEL[name];
        const more = label === undefined || extra === undefined ? {} : { [label]: extra };
        this.#metrics.get(name)?.inc({ migration: view.migration, table: view.table, ...more }, value);
      }
    }
    return this.#registry.metrics();
  }
}

function metricNames(): MetricName[] {
  return Object.keys(HELP).filter((name): name is MetricName => Object.hasOwn(HELP, name));
}

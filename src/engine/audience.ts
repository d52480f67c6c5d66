/** Whoever looks on at a run, the journal aside: its log file, the view a screen shows, and listeners. */
import type { Logger } from "pino";
import type { RunEvent } from "../../state/events.js";
import { createViewStore } from "../../state/fold.js";
import type { RunView, ViewSource } from "../../state/view.js";

/** How many events are kept for a first listener that has not come yet. */
const UNHEARD_LIMIT = 100;

export class Audience {
  readonly #log: Logger;
  readonly #store;
  readonly #listeners = new Set<(event: RunEvent) => void>();
  #unheard: RunEvent[] = [];

  constructor(log: Logger, view: RunView) {
    this.#log = log;
    this.#store = createViewStore(view);
  }

  get source(): ViewSource {
    return this.#store;
  }

  get view(): RunView {
    return this.#store.current();
  }

  /** What an earlier process did is part of the picture; how it ended is not. */
  recall(events: Iterable<{ event: RunEvent }>): void {
    for (const { event } of events)
      if (event.event !== "stopped" && event.event !== "finished") this.#store.push(event);
  }

  tell(event: RunEvent): void {
    this.#log.info(event, event.event);
    this.#store.push(event);
    if (this.#listeners.size === 0 && this.#unheard.length < UNHEARD_LIMIT) this.#unheard.push(event);
    for (const listener of this.#listeners) listener(event);
  }

  /** Calls `listener` with every event (the first one with those before it too); gives the function that ends it. */
  onEvent(listener: (event: RunEvent) => void): () => void {
    this.#listeners.add(listener);
    for (const event of this.#unheard.splice(0)) listener(event);
    return () => this.#listeners.delete(listener);
  }
}

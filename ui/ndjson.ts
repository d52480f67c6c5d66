/** `--json`: one JSON object a line, the events as they are. */
import type { RunEvent } from "../state/events.js";

/** An event as one line, without its line end. JSON escapes line ends inside values, so a line is an object. */
export function ndjsonFor(event: RunEvent): string {
  const { at, migration, event: name, ...fields } = event;
  return JSON.stringify({ at, migration, event: name, ...fields });
}

/** Writes every event of a run as it comes. Gives the function that ends it. */
export function startNdjson(options: {
  subscribeEvents(listener: (event: RunEvent) => void): () => void;
  write(line: string): void;
}): () => void {
  return options.subscribeEvents((event) => options.write(`${ndjsonFor(event)}\n`));
}

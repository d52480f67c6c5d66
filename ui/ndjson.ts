/** `--json`: one JSON object a line, the events as they are. */
import type { RunEvent } from "../state/events.js";

/**
 * An event as one line, without its line end. JSON escapes line ends inside values, so a line is an object. `table`: of
 * several tables, the one it belongs to.
 */
export function ndjsonFor(event: RunEvent, table?: string): string {
  const { at, migration, event: name, ...fields } = event;
  return JSON.stringify({ at, ...(table === undefined ? {} : { table }), migration, event: name, ...fields });
}

/** Writes every event of a run as it comes. Gives the function that ends it. */
export function startNdjson(options: {
  subscribeEvents(listener: (event: RunEvent) => void): () => void;
  write(line: string): void;
  table?: string;
}): () => void {
  return options.subscribeEvents((event) => options.write(`${ndjsonFor(event, options.table)}\n`));
}

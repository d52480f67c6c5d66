/** What was said along the way, what changes for the application, and how the run was set. */

import type { RunEvent } from "../../../state/events.js";
import { moment } from "../../../ui/format.js";
import { type Block, type Cell, folded, type Section, toned } from "../doc.js";
import { eventsOf, type History } from "../history.js";

function noteOf(event: RunEvent): Cell | null {
  switch (event.event) {
    case "log":
      if (event.level === "info") return null;
      return toned(event.message, event.level === "error" ? "bad" : "warn");
    case "query":
      return event.error === null
        ? null
        : toned(`query ${event.name}, ${event.when} cutover: ${event.error}`, "warn");
    case "copy-restarted":
      return toned(`the copy started again: ${event.reason}`, "warn");
    case "repaired":
      return toned(`${event.keys} keys repaired`, "warn");
    case "leaf-created":
      return `partition ${event.leaf} made: ${event.reason}`;
    case "stopped":
      return toned(
        `${event.kind}: ${event.what} ${event.state} Next: ${event.next}`,
        event.kind === "stopped" ? "warn" : "bad",
      );
    default:
      return null;
  }
}

export function notesSection(history: History): Section {
  const rows = history.events.flatMap((event): Cell[][] => {
    const note = noteOf(event);
    return note === null ? [] : [[moment(event.at), note]];
  });
  const planned = [...history.plan.refusals, ...(history.plan.warnings ?? [])].map((one): Cell[] => [
    "plan",
    toned(`${one.what} (${one.code})`, "warn"),
  ]);
  const all = [...planned, ...rows];
  return {
    title: "Warnings and refusals",
    blocks: [
      all.length === 0
        ? { kind: "text", text: "None.", tone: "quiet" }
        : { kind: "table", head: ["at", "what"], rows: folded(all, 100) },
    ],
  };
}

export function changesSection({ plan }: History): Section {
  const rows = plan.consequences.map((one): Cell[] => [one.what, one.advice]);
  const blocks: Block[] =
    rows.length === 0
      ? [{ kind: "text", text: "Nothing that the plan knew of.", tone: "quiet" }]
      : [{ kind: "table", head: ["what is different now", "advice"], rows }];
  return { title: "What changes for the application", blocks };
}

export function settingsSection(history: History): Section {
  const last = eventsOf(history, "process").at(-1);
  const { request, names, keyIndexName, leaves, source } = history.plan;
  const asked: [string, Cell][] = [
    ["server", history.migration.server],
    ["PostgreSQL", last?.postgres ?? `${Math.floor(source.serverVersion / 10_000)}`],
    ["Partway", last?.partway ?? "unknown"],
    ["Node.js", last?.node ?? "unknown"],
    ["leaves", `${leaves.length}, named by ${request.leafTemplate}`],
    ["key", keyIndexName],
    [
      "names",
      `new table ${names.shadow} until cutover, old table ${names.retired} after it, ${names.failed} after a rollback`,
    ],
    ["retention window", `${request.keepSeconds} s`],
  ];
  const set = Object.entries(last?.settings ?? {}).map(([name, value]): [string, Cell] => [
    name,
    String(value ?? "none"),
  ]);
  return { title: "Versions and settings", blocks: [{ kind: "facts", rows: [...asked, ...set] }] };
}

/** The plan as a change-approval ticket wants it: what, at what cost, what may go wrong, the way back, steps, who is told. Pure. */
import { bytes, count } from "../../ui/format.js";
import { grantsFor } from "../plan/grants.js";
import { schemeText } from "../plan/scheme-text.js";
import { requestOptions, shellWord, tableName } from "../plan/typed.js";
import type { Leaf, Plan } from "../plan/types.js";
import { block, code, page, prose, section, table } from "./markdown.js";
import { going, goingWrong } from "./plan-markdown-risks.js";
import { boundsText, costParts, minutes } from "./plan-text.js";

/** The whole page, ending with a line end. */
export function planMarkdown(plan: Plan): string {
  return page(...planSections(plan, 1, stepCommands(plan)));
}

/** The parts of the page; the title has `level` number signs. `steps`: section "Steps", empty where it stands elsewhere. */
export function planSections(plan: Plan, level: number, steps: string): string[] {
  const { names, request } = plan;
  const below = level + 1;
  const title = `Partition ${code(`${names.schema}.${names.source}`)} by ${code(schemeText(request.scheme))}`;
  return [
    `${"#".repeat(level)} ${title}`,
    refusedFirst(plan),
    section(below, "What will change", changes(plan)),
    section(below, "Leaves", leavesTable(plan)),
    section(below, "What it costs", costTable(plan), prose(`Time, disk and WAL: ${plan.forecast.basis}`)),
    section(below, "What could go wrong, and what Partway does then", goingWrong(plan)),
    section(below, "How to go back, and until when", going(plan)),
    steps === "" ? "" : section(below, "Steps", steps),
    section(below, "Who must be told: what changes for the application", told(plan)),
    section(below, "Refused: to be mended first", refusals(plan)),
    section(below, "Rights needed", rights(plan)),
  ];
}

function refusedFirst({ refusals: all }: Plan): string {
  if (all.length === 0) return "Nothing is refused: the migration can be run as it stands here.";
  return `**Not ready to run: ${all.length} ${all.length === 1 ? "finding" : "findings"} to be mended first (see "Refused").** Until then Partway touches nothing.`;
}

function changes(plan: Plan): string {
  const { source, names, request, key } = plan;
  const rows = source.estimatedRows < 0 ? "never analysed" : `about ${count(source.estimatedRows)} rows`;
  const shown = (name: string) => code(`${names.schema}.${name}`);
  const columns = key.map((column) => column.name).join(", ");
  return table(
    ["", ""],
    [
      ["Database", `${code(source.database)}, PostgreSQL ${Math.floor(source.serverVersion / 10_000)}`],
      ["Table", `${shown(names.source)}, owner ${code(source.owner)}`],
      [
        "Size",
        `${rows}; heap ${bytes(source.heapBytes)}, toast ${bytes(source.toastBytes)}, indexes ${bytes(source.indexBytes)}`,
      ],
      ["Becomes", `${code(schemeText(request.scheme))}, under the same name`],
      ["Key", key.length === 0 ? "none found" : `${code(`(${columns})`)}, index ${code(plan.keyIndexName)}`],
      ["Indexes", plan.indexes.map((index) => code(index.finalName)).join(", ") || "none"],
      [
        "Meanwhile",
        `the new table is filled beside it as ${shown(names.shadow)}; the application stays on the old one until cutover`,
      ],
      [
        "Afterwards",
        `the old table stays as ${shown(names.retired)} for ${keptFor(request.keepSeconds)} and follows every write`,
      ],
    ],
  );
}

function keptFor(seconds: number): string {
  return seconds >= 172_800
    ? `${Math.round(seconds / 8_640) / 10} days`
    : `${Math.round(seconds / 360) / 10} h`;
}

function leavesTable({ leaves }: Plan): string {
  const own = leaves.filter(({ bounds }) => bounds.kind !== "default");
  const rest = leaves.filter(({ bounds }) => bounds.kind === "default");
  const [first, last] = [own[0], own.at(-1)];
  if (first === undefined || last === undefined) return "None can be laid out: see what is refused.";
  const row = (place: string, leaf: Leaf) => [
    place,
    code(leaf.name),
    code(boundsText(leaf.bounds)),
    leaf.estimatedRows === null ? "not known" : `about ${count(leaf.estimatedRows)}`,
  ];
  const fullest = leaves.reduce((most, leaf) =>
    (leaf.estimatedRows ?? -1) > (most.estimatedRows ?? -1) ? leaf : most,
  );
  return [
    `${count(leaves.length)} in all.`,
    table(
      ["", "Leaf", "Holds", "Rows (sampled)"],
      [
        row("first", first),
        ...(fullest.estimatedRows === null ? [] : [row("fullest", fullest)]),
        row("last", last),
        ...rest.map((leaf) => row("the rest", leaf)),
      ],
    ),
  ].join("\n\n");
}

function sure(parts: string | undefined, sampled: boolean | undefined): string {
  return sampled === true ? `by a sample: ${parts ?? ""}` : "in proportion to a measured table";
}

function costTable({ forecast: f, source, request }: Plan): string {
  const isWal = request.capture === "wal";
  const parts = new Map(costParts(f));
  return table(
    ["What", "How much", "How sure"],
    [
      [
        "Time until ready for cutover",
        `${minutes(f.seconds.low)} to ${minutes(f.seconds.high)}; the backup comes on top`,
        `${sure(parts.get("time"), f.sampled)}; low: ${f.sampled === true ? "the server as busy as now" : "on an idle machine of 2 cores"}, high: busier`,
      ],
      [
        "Disk of the server at its peak; most of it until the old table is dropped",
        bytes(f.extraDiskBytes),
        f.sampled === true
          ? sure(parts.get("extra disk at its peak"), true)
          : "the table's size of today; the change log and WAL come on top",
      ],
      [
        "WAL",
        bytes(f.walBytes),
        `${sure(parts.get("WAL"), f.sampled)}; replicas and archive receive all of it`,
      ],
      [
        "Disk of the machine that runs Partway",
        `up to ${bytes(source.heapBytes + source.toastBytes)} (backup)`,
        "not compressed; --backup says where, --no-backup makes none",
      ],
      [
        "Locks before cutover",
        isWal
          ? "one short SHARE UPDATE EXCLUSIVE for the publication; else ACCESS SHARE, as a SELECT takes"
          : "one short SHARE ROW EXCLUSIVE to create the capture triggers; else ACCESS SHARE, as a SELECT takes",
        "tries of 100 ms, growing to 1 s at most, that let go rather than queue",
      ],
      [
        "Lock of the cutover",
        "ACCESS EXCLUSIVE, within the hold budget (1 s unless --hold-budget says otherwise)",
        "measured under 4 busy clients, 28 leaves: held 26 ms (median of 19), longest stall of a writer 85 ms",
      ],
      [
        isWal
          ? "Writers in the window (before it no trigger runs in their transactions)"
          : "Writers while changes are captured (from copy to the end of the window)",
        "0.71 to 0.91 of their throughput for single rows, 0.74 for bulk writes",
        "measured on a prototype, PostgreSQL 15, 2 cores: trust the order more than the digits",
      ],
    ],
  );
}

/** The commands of one table, from rights to the drop. */
function stepCommands(plan: Plan): string {
  const { request, names } = plan;
  const typed = shellWord(tableName(names.schema, names.source));
  const options = requestOptions(request);
  return [
    "`<id>` is the migration's id, which the run prints; while only one migration is open it may be left out.",
    block("sh", [
      "# before the window: the exact SQL of every phase, then fill, index and compare; nothing is switched",
      `partway plan ${typed} ${options}`,
      `partway run ${typed} ${options} --until validate`,
      "# in the window: switch, then compare both sides once more",
      "partway cutover <id> --no-hold",
      "partway verify <id>",
      "# the way back, while the old table is kept",
      "partway rollback <id>",
      "# after it: drop the old table and everything Partway made",
      "partway finalize <id>",
    ]),
  ].join("\n\n");
}

function told({ consequences }: Plan): string {
  return consequences
    .map(({ code: name, what, advice }) => `- [ ] ${prose(what)} ${prose(advice)} (${code(name)})`)
    .join("\n");
}

function refusals({ refusals: all }: Plan): string {
  return all
    .map(
      (one) =>
        `- [ ] **${prose(one.what)}** (${code(one.code)})\n  - why: ${prose(one.why)}\n  - remedy: ${prose(one.remedy)}`,
    )
    .join("\n");
}

function rights({ source }: Plan): string {
  const facts = source.grantFacts;
  if (facts === undefined) return "";
  const needed = grantsFor(facts);
  const role = `Partway connects as ${code(facts.role)}.`;
  if (needed.length === 0) return `${role} It needs nothing that it does not have.`;
  const lacking = needed.filter(({ missing }) => missing).length;
  return [
    `${role} ${lacking === 0 ? "It has all of these:" : `Of these it lacks ${lacking}, marked below:`}`,
    block(
      "sql",
      needed.map(({ sql, missing }) => `${sql.replaceAll("\n", " ")}${missing ? " -- lacking" : ""}`),
    ),
  ].join("\n\n");
}

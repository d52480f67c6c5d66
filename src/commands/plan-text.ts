/** The plan for people: the table as found, the leaves, what changes, refusals, forecast, and the SQL. Pure. */
import prettyBytes from "pretty-bytes";
import { wrapWords } from "../../ui/format.js";
import { schemeText } from "../plan/scheme-text.js";
import type { Leaf, LeafBounds, Plan, Statement } from "../plan/types.js";

/** Leaves shown before the middle is folded. */
const SHOWN_LEAVES = 16;

/**
 * The whole text, ending with a line end. `sql` may be empty. `width`: the terminal's, to which prose is wrapped; SQL
 * is left as it runs. Undefined (a pipe): nothing is wrapped.
 */
export function planText(
  plan: Plan,
  sql: { phase: string; statements: Statement[] }[],
  width?: number,
): string {
  const prose = [
    table(plan),
    leaves(plan),
    indexes(plan),
    list(
      "What changes for the application",
      plan.consequences.map((c) => [c.what, c.advice]),
    ),
    list(
      "Refused: mend these first",
      plan.refusals.map((r) => [`${r.what} (${r.code})`, `why: ${r.why}`, `remedy: ${r.remedy}`]),
    ),
    list(
      "Warnings: look at these before the run begins",
      (plan.warnings ?? []).map((w) => [`${w.what} (${w.code})`, w.advice]),
    ),
    means(plan),
    forecast(plan),
  ];
  const sections = [...prose.map((text) => wrapped(text, width)), statements(sql)];
  return `${sections.filter((s) => s !== "").join("\n\n")}\n`;
}

/** A plan among others, below a heading that names the table: what it becomes, refusals, forecast. Without a line end. */
export function planSummary(plan: Plan, width?: number): string {
  const leafCount = `  ${count(plan.leaves.length)} leaves; ${plan.consequences.length} changes for the application (partway plan ${plan.request.table})`;
  const refused = plan.refusals.flatMap((r) => [
    `  - refused: ${r.what} (${r.code})`,
    `    remedy: ${r.remedy}`,
  ]);
  const warned = (plan.warnings ?? []).map((w) => `  - warning: ${w.what} (${w.code})`);
  const { low, high } = plan.forecast.seconds;
  const { extraDiskBytes: disk, walBytes: wal } = plan.forecast;
  const [, ...facts] = table(plan).split("\n");
  const lines = [...facts, leafCount, `  ${costs({ low, high }, disk, wal)}`, ...refused, ...warned];
  return wrapped(lines.join("\n"), width);
}

/** Time, disk and WAL in words. */
export function costs({ low, high }: { low: number; high: number }, disk: number, wal: number): string {
  return `time ${minutes(low)} to ${minutes(high)}; extra disk ${prettyBytes(disk)}; WAL ${prettyBytes(wal)}`;
}

/** Seconds as a forecast says them: `42 s`, `7 min`. */
export function minutes(seconds: number): string {
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

/** Lines longer than the terminal, broken between words and indented as they began. */
export function wrapped(text: string, width: number | undefined): string {
  if (width === undefined) return text;
  return text
    .split("\n")
    .flatMap((line) => {
      const indent = /^ *(- )?/.exec(line)?.[0] ?? "";
      const hanging = " ".repeat(indent.length);
      return wrapWords(line.slice(indent.length), width - indent.length).map(
        (piece, i) => `${i === 0 ? indent : hanging}${piece}`,
      );
    })
    .join("\n");
}

function count(n: number): string {
  return n.toLocaleString("en-US");
}

function table(plan: Plan): string {
  const { source, names, request } = plan;
  const bytes = (n: number) => prettyBytes(n);
  const rows = source.estimatedRows < 0 ? "never analysed" : `about ${count(source.estimatedRows)} rows`;
  return [
    `Table ${names.schema}.${names.source} (PostgreSQL ${Math.floor(source.serverVersion / 10_000)}, owner ${source.owner})`,
    `  ${rows}; heap ${bytes(source.heapBytes)}, toast ${bytes(source.toastBytes)}, indexes ${bytes(source.indexBytes)}`,
    `  key: ${plan.key.map((c) => c.name).join(", ") || "none"} (${plan.keyIndexName || "no index"})`,
    `  becomes: ${schemeText(request.scheme)}; the old table stays as ${names.retired} for ${hours(request.keepSeconds)}`,
  ].join("\n");
}

function hours(seconds: number): string {
  return seconds % 86_400 === 0 && seconds > 86_400
    ? `${seconds / 86_400} days`
    : `${Math.round(seconds / 360) / 10} h`;
}

/** What a leaf holds: `[from, to)`, a remainder, a value, or the rest. */
export function boundsText(bounds: LeafBounds): string {
  switch (bounds.kind) {
    case "range":
      return `[${bounds.from}, ${bounds.to})`;
    case "hash":
      return `modulus ${bounds.modulus}, remainder ${bounds.remainder}`;
    case "list":
      return `'${bounds.value}'`;
    case "default":
      return "DEFAULT: what no other leaf holds";
  }
}

function leaves(plan: Plan): string {
  const all = plan.leaves;
  const line = (leaf: Leaf) =>
    `  ${leaf.name}  ${boundsText(leaf.bounds)}${leaf.estimatedRows === null ? "" : `  ~${count(leaf.estimatedRows)} rows`}`;
  const half = SHOWN_LEAVES / 2;
  const shown =
    all.length <= SHOWN_LEAVES
      ? all.map(line)
      : [
          ...all.slice(0, half).map(line),
          `  ... ${all.length - SHOWN_LEAVES} more ...`,
          ...all.slice(-half).map(line),
        ];
  return [`Leaves: ${all.length}`, ...shown].join("\n");
}

function indexes(plan: Plan): string {
  const text = plan.indexes.map((i) => {
    const what = i.build.kind === "constraint" ? i.build.definition : i.build.tail.trim();
    return `  ${i.finalName}: ${i.unique && i.build.kind === "index" ? "UNIQUE " : ""}${what}`;
  });
  return text.length === 0 ? "" : ["Indexes of the new table (one on each leaf)", ...text].join("\n");
}

function list(title: string, entries: string[][]): string {
  if (entries.length === 0) return "";
  return [
    title,
    ...entries.flatMap(([first = "", ...rest]) => [`  - ${first}`, ...rest.map((r) => `    ${r}`)]),
  ].join("\n");
}

function means({ means: chosen }: Plan): string {
  if (chosen === undefined) return "";
  const { workers, workersWhy, buildWhy } = chosen;
  return [
    "What it works with on this server",
    `  ${workers} ${workers === 1 ? "connection" : "connections"} (--workers): ${workersWhy}`,
    `  each index build: ${buildWhy}`,
  ].join("\n");
}

function forecast({ forecast: f }: Plan): string {
  return [
    "Forecast",
    `  ${costs(f.seconds, f.extraDiskBytes, f.walBytes)}`,
    ...costParts(f).map(([what, parts]) => `  ${what}: ${parts}`),
    `  ${f.basis}`,
  ].join("\n");
}

/** What time, disk and WAL are made of; nothing where no sample was taken. */
export function costParts(f: Plan["forecast"]): [what: string, parts: string][] {
  const { phases = [], disk, wal } = f;
  const amounts = (parts: [what: string, bytes: number][]) =>
    parts
      .filter(([, n]) => n > 0)
      .map(([what, n]) => `${what} ${prettyBytes(n)}`)
      .join(", ");
  return [
    ["time", phases.map((p) => `${p.phase} ${minutes(p.low)} to ${minutes(p.high)}`).join(", ")],
    [
      "extra disk at its peak",
      disk === undefined
        ? ""
        : amounts([
            ["rows", disk.heap],
            ["toast", disk.toast],
            ["indexes", disk.indexes],
            ["change log", disk.log],
            ["sorting", disk.sort],
            ["WAL kept", disk.wal],
          ]),
    ],
    [
      "WAL",
      wal === undefined
        ? ""
        : amounts([
            ["rows", wal.rows],
            ["indexes", wal.indexes],
            ["freezing and catalogs", wal.freezing],
            ["page images after checkpoints", wal.pageImages],
          ]),
    ],
  ].flatMap(([what = "", parts = ""]): [string, string][] => (parts === "" ? [] : [[what, parts]]));
}

function statements(sql: { phase: string; statements: Statement[] }[]): string {
  return sql
    .filter(({ statements: s }) => s.length > 0)
    .map(({ phase, statements: s }) => {
      const lines = s.map(
        (one) => `${one.note === undefined ? "" : `-- ${one.note}\n`}${one.sql.trimEnd().replace(/;$/, "")};`,
      );
      return `-- ===== ${phase}\n${lines.join("\n")}`;
    })
    .join("\n\n");
}

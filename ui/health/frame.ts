/** The health screen as lines of toned pieces, for a size and a choice. Pure: what it shows is what its tests compare. */
import type { BranchView, HealthLevel, HealthView, TableHealthView } from "../../state/health-view.js";
import { bytes, count, oneLine, plural, timeOfDay, wrapWords } from "../format.js";
import type { Glyph, Glyphs, Tone } from "../theme.js";

export interface Piece {
  text: string;
  tone: Tone;
}
export type Row = Piece[];

export interface HealthLooking {
  /** Which table, from 0. */
  chosen: number;
  /** Its tree has the whole screen. */
  open: boolean;
  /** The tree's first visible line. */
  top: number;
}

export const AT_FIRST: HealthLooking = { chosen: 0, open: false, top: 0 };

const TONES: Record<HealthLevel, Tone> = {
  ...{ HEALTHY: "good", CLEANUP_NEEDED: "warn", NO_PARTITIONS: "warn", WARNING: "warn", CRITICAL: "bad" },
};
const MARKS: Record<HealthLevel, Glyph> = {
  ...{ HEALTHY: "done", CLEANUP_NEEDED: "waiting", NO_PARTITIONS: "differs", WARNING: "differs" },
  CRITICAL: "failed",
};

const plain = (text: string): Piece => ({ text, tone: "plain" });
const quiet = (text: string): Piece => ({ text, tone: "quiet" });

/** Exactly `rows` lines, none longer than `columns`. */
export function healthFrame(
  view: HealthView,
  looking: HealthLooking,
  { columns, rows }: { columns: number; rows: number },
  glyphs: Glyphs,
): Row[] {
  const head = header(view, columns);
  const keys = [quiet(looking.open ? OPEN_KEYS : LIST_KEYS)];
  const room = Math.max(0, rows - head.length - 1);
  const table = view.tables[looking.chosen];
  const body =
    table === undefined
      ? [[], [quiet(view.at === null ? "  looking ..." : "  no table is in care: partway adopt <table>")]]
      : looking.open
        ? opened(table, looking.top, { columns, rows: room }, glyphs)
        : listed(view, looking, { columns, rows: room }, glyphs);
  const blank = Array.from({ length: Math.max(0, room - body.length) }, (): Row => []);
  return [...head, ...body.slice(0, room), ...blank, keys].slice(0, rows).map((row) => cutRow(row, columns));
}

const LIST_KEYS = "up/down table   Enter its partitions   r look again   q quit";
const OPEN_KEYS = "up/down partitions   Esc back   r look again   q quit";

function header({ at, server, tables, trouble }: HealthView, columns: number): Row[] {
  const sick = tables.filter(({ status }) => status !== "HEALTHY");
  const worst = sick.some(({ status }) => status === "CRITICAL");
  const sum =
    tables.length === 0
      ? plain("")
      : sick.length === 0
        ? { text: `${plural(tables.length, "table")}, all HEALTHY`, tone: "good" as const }
        : {
            text: `${sick.length} of ${plural(tables.length, "table")} not HEALTHY`,
            tone: worst ? ("bad" as const) : ("warn" as const),
          };
  const clock = at === null ? "" : timeOfDay(at);
  const name = cut(oneLine(server), Math.max(0, columns - 9 - clock.length - sum.text.length - 4));
  const pad = " ".repeat(Math.max(1, columns - 9 - name.length - sum.text.length - clock.length));
  const line: Row = [{ text: "health", tone: "strong" }, quiet(` ${name}  `), sum, plain(pad), quiet(clock)];
  return trouble === null ? [line, []] : [line, [{ text: oneLine(trouble), tone: "bad" }]];
}

function listed(
  view: HealthView,
  { chosen }: HealthLooking,
  { columns, rows }: { columns: number; rows: number },
  glyphs: Glyphs,
): Row[] {
  // The list gets what it needs, but leaves half to the chosen table.
  const most = Math.max(1, Math.min(view.tables.length, Math.floor((rows - 3) / 2)));
  const from = Math.max(0, Math.min(chosen - Math.floor(most / 2), view.tables.length - most));
  const wide = columns >= WIDE;
  const nameWidth = Math.max(8, columns - FIXED - (wide ? BIGGEST : 0));
  const list = view.tables.slice(from, from + most).map((table, at): Row => {
    const isChosen = from + at === chosen;
    const tone: Tone = isChosen ? "strong" : "plain";
    return [
      { text: isChosen ? `${glyphs.running} ` : "  ", tone },
      { text: `${glyphs[MARKS[table.status]]} ${table.status.padEnd(15)}`, tone: TONES[table.status] },
      { text: cut(oneLine(table.table), nameWidth).padEnd(nameWidth), tone },
      { text: ` ${count(table.leaves).padStart(6)}`, tone },
      { text: `  ${cut(shortTime(table.missingFrom ?? "-"), 16).padEnd(16)}`, tone },
      { text: `  ${(table.biggest === null ? "-" : bytes(table.biggest.bytes)).padStart(8)}`, tone },
      ...(wide
        ? [{ text: `  ${cut(oneLine(table.biggest?.name ?? ""), BIGGEST - 2).padEnd(BIGGEST - 2)}`, tone }]
        : []),
      { text: String(table.gaps).padStart(5), tone: table.gaps > 0 ? "warn" : tone },
    ];
  });
  const title = `    ${"status".padEnd(15)}${"table".padEnd(nameWidth)} ${"leaves".padStart(6)}  ${"no leaf from".padEnd(16)}  ${"biggest".padStart(8)}${wide ? " ".repeat(BIGGEST) : ""}${"gaps".padStart(5)}`;
  const table = view.tables[chosen];
  const below = table === undefined ? [] : detail(table, columns);
  const left = rows - list.length - 2 - below.length - 1;
  const tree =
    table === undefined || left < 3
      ? []
      : [[], ...treeRows(table, columns, glyphs, startOf(table, left), left)];
  return [[quiet(title)], ...list, [], ...below, ...tree];
}

/** What the columns beside the table's name take; and the biggest leaf's name, on a wide terminal. */
const FIXED = 61;
const WIDE = 110;
const BIGGEST = 30;

function opened(
  table: TableHealthView,
  top: number,
  { columns, rows }: { columns: number; rows: number },
  glyphs: Glyphs,
): Row[] {
  const above = detail(table, columns).slice(0, Math.max(1, rows - 4));
  const room = Math.max(1, rows - above.length - 1);
  return [...above, [], ...treeRows(table, columns, glyphs, top, room)];
}

/** How many lines the tree has when it is open; for keys that scroll. */
export function treeRoom(
  table: TableHealthView,
  { columns, rows }: { columns: number; rows: number },
): number {
  const body = rows - 3;
  return Math.max(1, body - detail(table, columns).slice(0, Math.max(1, body - 4)).length - 1);
}

function detail(table: TableHealthView, columns: number): Row[] {
  const { status, cut: how, findings, lastMaintenance } = table;
  const facts = `${how}, about ${plural(table.rows, "row")}, ${bytes(table.bytes)}, last maintenance ${lastMaintenance ?? "never"}`;
  const told = findings.flatMap(({ level, what, next }) => [
    ...wrapWords(`${level}: ${what}`, columns - 2).map(
      (text): Row => [{ text: `  ${text}`, tone: TONES[level] }],
    ),
    ...wrapWords(next, columns - 10).map(
      (text, at): Row => [plain(`    ${at === 0 ? "next: " : "      "}${text}`)],
    ),
  ]);
  return [
    [{ text: oneLine(table.table), tone: "strong" }, plain("  "), { text: status, tone: TONES[status] }],
    ...wrapWords(facts, columns - 2).map((text): Row => [quiet(`  ${text}`)]),
    ...told,
  ];
}

function treeRows(
  table: TableHealthView,
  columns: number,
  glyphs: Glyphs,
  from: number,
  most: number,
): Row[] {
  const { tree } = table;
  if (tree.length === 0) return [[quiet("  no partitions")]];
  const longest = (text: (leaf: Extract<BranchView, { kind: "leaf" }>) => string) =>
    Math.max(0, ...tree.map((one) => (one.kind === "leaf" ? oneLine(text(one)).length : 0)));
  const nameWidth = Math.min(
    longest(({ name }) => name),
    Math.floor(columns / 3),
  );
  const boundWidth = Math.min(
    longest(({ bound }) => bound),
    Math.max(10, columns - nameWidth - 34),
  );
  const rows = tree.map((branch, at): Row => {
    const twig = quiet(` ${at === tree.length - 1 ? glyphs.corner : glyphs.branch} `);
    if (branch.kind === "gap")
      return [twig, { text: `${glyphs.differs} no leaf from ${branch.from} to ${branch.to}`, tone: "warn" }];
    const tone: Tone = branch.isNow ? "strong" : "plain";
    return [
      twig,
      { text: cut(oneLine(branch.name), nameWidth).padEnd(nameWidth), tone },
      quiet(`  ${cut(oneLine(branch.bound), boundWidth).padEnd(boundWidth)}`),
      { text: `  ${count(branch.rows).padStart(11)}  ${bytes(branch.bytes).padStart(8)}`, tone },
      ...(branch.isNow ? [{ text: "  now", tone: "good" as const }] : []),
      ...(branch.note === "" ? [] : [{ text: `  ${branch.note}`, tone: "warn" as const }]),
    ];
  });
  const shown = rows.slice(from, from + most);
  if (shown.length === rows.length || most < 2) return shown;
  const last = Math.min(rows.length, from + most - 1);
  return [...rows.slice(from, last), [quiet(`   ${from + 1} to ${last} of ${rows.length}`)]];
}

/** The piece of the tree around now, where nobody scrolls. */
function startOf({ tree }: TableHealthView, room: number): number {
  const now = tree.findIndex((one) => one.kind === "leaf" && one.isNow);
  const wanted = (now < 0 ? tree.length : now) - Math.floor(room / 2);
  return Math.max(0, Math.min(wanted, tree.length - room + 1));
}

/** `2026-03-01 00:00:00+00` to the minute; everything else as it is. */
function shortTime(text: string): string {
  return /^\d{4}-\d\d-\d\d \d\d:\d\d/.test(text) ? text.slice(0, 16) : text;
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

function cutRow(row: Row, columns: number): Row {
  let left = columns;
  return row.flatMap(({ text, tone }) => {
    const shown = text.slice(0, left);
    left -= shown.length;
    return shown === "" ? [] : [{ text: shown, tone }];
  });
}

/** The pieces of a phase as a grid, the workers and where each is, and the details of one piece. */
import { Box } from "ink";
import type { RunView } from "../../state/view.js";
import { count, countdown, oneLine, plural } from "../format.js";
import { type Cell, type CellState, doneCount, foldCells, shapeFor } from "../grid.js";
import { type Theme, type Tone, useTheme } from "../theme.js";
import { Line, Span } from "./Line.js";

type MapView = NonNullable<RunView["map"]>;

const TONES: Record<CellState, Tone> = { waiting: "quiet", partly: "plain", done: "good", different: "bad" };

export interface PiecesProps {
  view: RunView;
  columns: number;
  /** Lines there are for all of it. */
  rows: number;
  /** The piece to tell more of. */
  chosen: number | null;
  now: number;
}

export function Pieces({ view, columns, rows, chosen, now }: PiecesProps) {
  const { map } = view;
  if (map === null || map.cells.length === 0 || rows < 2) return null;
  const spare = rows - 2;
  const each = map.workers.length > 1 && map.workers.length <= spare - 2;
  const below = chosen === null ? workerLines(map, now, each) : detailOf(view, map, chosen, now, spare > 0);
  const titled = spare >= 3;
  const gridRows = Math.max(1, rows - below.length - (titled ? 2 : 0));
  return (
    <Box flexDirection="column" flexShrink={0} marginTop={titled ? 1 : 0}>
      {titled ? <Line tone="quiet">{titleOf(map)}</Line> : null}
      <Grid map={map} columns={columns} rows={gridRows} chosen={chosen} />
      {below.map((line) => (
        <Line key={line}>{line}</Line>
      ))}
    </Box>
  );
}

function titleOf(map: MapView): string {
  const done = doneCount(map.cells);
  return map.of === "blocks"
    ? `blocks of the table, in ${plural(map.cells.length, "part")}, ${count(done)} copied:`
    : `${plural(map.cells.length, "partition")}, ${count(done)} ${map.phase === "index" ? "complete" : "read"}:`;
}

function workerLines({ workers }: MapView, now: number, each: boolean): string[] {
  if (workers.length === 0) return [];
  if (!each) return [`workers  ${workers.map((one) => `${one.worker} ${oneLine(one.what)}`).join("   ")}`];
  return workers.map((one) => {
    const seconds = (now - Date.parse(one.since)) / 1000;
    const since = Number.isNaN(seconds) ? "" : `  ${countdown(seconds)}`;
    return `worker ${one.worker}  ${oneLine(one.what)}${since}`;
  });
}

/** One line, two where there is room. */
function detailOf(view: RunView, map: MapView, chosen: number, now: number, two: boolean): string[] {
  const mark = map.cells[chosen] ?? ".";
  const worker = map.workers.find((one) => one.cell === chosen);
  const doing =
    worker === undefined
      ? stateWord(mark)
      : `worker ${worker.worker}: ${oneLine(worker.what)}, since ${sinceText(worker.since, now)}`;
  const leaf = map.of === "leaves" ? view.leaves[chosen] : undefined;
  if (leaf === undefined) return [`part ${count(chosen + 1)} of ${count(map.cells.length)}: ${doing}`];
  const rows = leaf.rows === null ? "" : `, ${leaf.exact ? "" : "~"}${plural(leaf.rows, "row")}`;
  const head = `${oneLine(leaf.name)}: ${doing}${rows}`;
  const bounds = oneLine(leaf.bounds).replace(/^FOR VALUES /, "");
  return two ? [head, `  ${bounds}`] : [`${head}, ${bounds}`];
}

function sinceText(since: string, now: number): string {
  const seconds = (now - Date.parse(since)) / 1000;
  return Number.isNaN(seconds) ? "?" : countdown(seconds);
}

function stateWord(mark: string): string {
  switch (mark) {
    case ".":
      return "waiting";
    case "x":
      return "done";
    case "!":
      return "DIFFERENT";
    default:
      return `${mark}0% done`;
  }
}

function Grid({
  map,
  columns,
  rows,
  chosen,
}: {
  map: MapView;
  columns: number;
  rows: number;
  chosen: number | null;
}) {
  const theme = useTheme();
  const { each, across, width } = shapeFor(map.cells.length, columns, rows);
  const busy = new Set(map.workers.flatMap((one) => (one.cell === null ? [] : [one.cell])));
  const cells = foldCells(map.cells, busy, each);
  const lines: Cell[][] = [];
  for (let from = 0; from < cells.length; from += across) lines.push(cells.slice(from, from + across));
  return lines.map((line) => (
    <Line key={line[0]?.from}>
      {line.map((cell, at) => (
        <Span key={cell.from} tone={cell.busy ? "strong" : TONES[cell.state]}>
          {drawn(cell, width, chosen !== null && chosen >= cell.from && chosen < cell.to, theme)}
          {width > 1 && at < line.length - 1 ? " " : ""}
        </Span>
      ))}
    </Line>
  ));
}

function drawn(cell: Cell, width: number, isChosen: boolean, { glyphs }: Theme): string {
  const text = filled(cell, width, glyphs);
  return isChosen ? `${glyphs.chosen}${text.slice(1)}` : text;
}

function filled({ state, share }: Cell, width: number, glyphs: Theme["glyphs"]): string {
  if (state === "different") return glyphs.differs.repeat(width);
  if (state === "done") return glyphs.full.repeat(width);
  if (state === "waiting") return glyphs.waiting.repeat(width);
  const full = Math.min(width - 1, Math.floor(share * width));
  const rest = share * width - full;
  const edge = rest < 0.34 ? glyphs.third : rest < 0.67 ? glyphs.half : glyphs.most;
  return glyphs.full.repeat(full) + edge + glyphs.waiting.repeat(width - full - 1);
}

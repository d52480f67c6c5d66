/** The one bar: rows while copying, builds while indexing. Drawn from exact counts of blocks or builds. */
import { Box } from "ink";
import type { PhaseName } from "../../state/events.js";
import type { RunView } from "../../state/view.js";
import { copyShare } from "../copied.js";
import { count, percent, rate, share, timeLeft } from "../format.js";
import { doneCount } from "../grid.js";
import { useTheme } from "../theme.js";
import { Line, Span } from "./Line.js";

interface Bar {
  done: number;
  total: number;
  text: string;
}

const WIDEST = 60;
const NARROWEST = 8;

export function Progress({ view, columns }: { view: RunView; columns: number }) {
  const { glyphs } = useTheme();
  const bar = barOf(view);
  if (bar === null) return null;
  const share100 = percent(bar.done, bar.total).padStart(4);
  const room = columns - share100.length - bar.text.length - 3;
  const width = Math.max(NARROWEST, Math.min(WIDEST, room));
  const full = Math.floor(share(bar.done, bar.total) * width);
  return (
    <Box flexShrink={0} marginTop={1}>
      <Line>
        <Span tone="good">{glyphs.full.repeat(full)}</Span>
        <Span tone="quiet">{glyphs.empty.repeat(width - full)}</Span>
        <Span tone="strong">{share100}</Span>
        {`  ${bar.text}`}
      </Line>
    </Box>
  );
}

/** What the bar measures now; null when nothing under way has a known total. */
function barOf(view: RunView): Bar | null {
  if (view.copy !== null && isRunning(view, "copy")) {
    const { rowsDone, rowsEstimated, rowsPerSecond, secondsLeft } = view.copy;
    const rows = `${count(rowsDone)} of ~${count(Math.max(rowsDone, rowsEstimated))} rows`;
    return { ...copyShare(view.copy), text: `${rows}  ${speed(rowsPerSecond, secondsLeft)}` };
  }
  if (view.index !== null && isRunning(view, "index")) {
    const { built, total, secondsLeft, step } = view.index;
    const text = `${built} of ${total} indexes`;
    if (built < total) return { done: built, total, text: `${text}  ${timeLeft(secondsLeft)}` };
    // All are built: what is left is told by the partitions, and by what is being done.
    const cells = view.map?.cells ?? "";
    return { done: doneCount(cells), total: cells.length, text: step ?? text };
  }
  if (view.comparing !== null && view.undo === null && isRunning(view, "validate")) {
    const { done, total, rows, secondsLeft } = view.comparing;
    return { done, total, text: `both sides compared, ${count(rows)} rows read  ${timeLeft(secondsLeft)}` };
  }
  return null;
}

function isRunning(view: RunView, name: PhaseName): boolean {
  return view.phases.some((phase) => phase.name === name && phase.status === "running");
}

function speed(rowsPerSecond: number | null, secondsLeft: number | null): string {
  if (rowsPerSecond === null && secondsLeft === null) return "rate, time left: measuring";
  return `${rate(rowsPerSecond, "rows")}  ${timeLeft(secondsLeft)}`;
}

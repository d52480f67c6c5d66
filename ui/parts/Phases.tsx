/** The phases in order: a glyph, a word and a time each. */
import { Box } from "ink";
import type { PhaseView, RunView } from "../../state/view.js";
import { isOver } from "../controls.js";
import { duration } from "../format.js";
import { type Glyph, type Tone, useTheme } from "../theme.js";
import { Line } from "./Line.js";

interface Look {
  glyph: Glyph;
  word: string;
  tone: Tone;
}

const LOOKS = {
  waiting: { glyph: "waiting", word: "waiting", tone: "quiet" },
  passed: { glyph: "passed", word: "not run", tone: "quiet" },
  running: { glyph: "running", word: "running", tone: "strong" },
  paused: { glyph: "paused", word: "paused", tone: "warn" },
  held: { glyph: "paused", word: "held", tone: "warn" },
  stopped: { glyph: "paused", word: "stopped", tone: "warn" },
  ended: { glyph: "passed", word: "ended", tone: "quiet" },
  done: { glyph: "done", word: "done", tone: "good" },
  failed: { glyph: "failed", word: "failed", tone: "bad" },
} satisfies Record<string, Look>;

export function Phases({ view, now }: { view: RunView; now: number }) {
  const rows = view.undo === null ? view.phases : [...view.phases, view.undo];
  return (
    <Box flexDirection="column" flexShrink={0} width={27}>
      {rows.map((phase, index) => (
        <PhaseRow key={phase.name} phase={phase} look={lookOf(phase, index, view)} now={now} />
      ))}
    </Box>
  );
}

function PhaseRow({ phase, look, now }: { phase: PhaseView; look: Look; now: number }) {
  const { glyphs } = useTheme();
  const running = ["running", "paused", "held"].includes(look.word);
  const ms = phase.ms ?? (running && phase.startedAt !== null ? now - Date.parse(phase.startedAt) : null);
  const time = ms === null || Number.isNaN(ms) ? "" : duration(ms);
  return (
    <Line tone={look.tone}>
      {`${glyphs[look.glyph]} ${phase.name.padEnd(9)} ${look.word.padEnd(7)} ${time.padStart(7)}`}
    </Line>
  );
}

/** A phase still waiting although a later one has begun was not run by this process: no backup wanted, or resumed. */
function lookOf(phase: PhaseView, index: number, view: RunView): Look {
  if (phase.status === "running") {
    if (view.undo !== null && view.undo !== phase) return LOOKS.ended;
    if (isOver(view)) return LOOKS.stopped;
    if (view.paused) return LOOKS.paused;
    return view.held === null ? LOOKS.running : LOOKS.held;
  }
  const overtaken = view.phases.slice(index + 1).some((later) => later.status !== "waiting");
  return phase.status === "waiting" && overtaken ? LOOKS.passed : LOOKS[phase.status];
}

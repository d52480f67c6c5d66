/** How it ended. A stop says what happened, what state things are in, and what to type next. */
import { Box } from "ink";
import type { Outcome as OutcomeName } from "../../state/events.js";
import type { RunView } from "../../state/view.js";
import { wrapWords } from "../format.js";
import { type Glyph, type Tone, useTheme } from "../theme.js";
import { Line, Paragraph } from "./Line.js";

const LABEL = 7;

interface Ending {
  glyph: Glyph;
  word: string;
  tone: Tone;
}

const ENDINGS: Record<OutcomeName, Ending> = {
  done: { glyph: "done", word: "Done", tone: "good" },
  "rolled-back": { glyph: "done", word: "Rolled back", tone: "good" },
  aborted: { glyph: "done", word: "Aborted", tone: "good" },
  "ready-for-cutover": { glyph: "paused", word: "Ready for cutover", tone: "good" },
  retained: { glyph: "paused", word: "In the retention window", tone: "good" },
  stopped: { glyph: "paused", word: "Stopped", tone: "warn" },
  failed: { glyph: "failed", word: "Failed", tone: "bad" },
};

/** What this process did not do itself. */
const ELSEWHERE: Partial<Record<string, Ending>> = {
  detached: { glyph: "running", word: "Goes on without this terminal", tone: "good" },
  gone: { glyph: "failed", word: "No process runs it", tone: "bad" },
};

export function Outcome({ view, columns }: { view: RunView; columns: number }) {
  const { glyphs } = useTheme();
  const ending = endingOf(view);
  if (ending === null) return null;
  return (
    <Box flexDirection="column" flexShrink={0} marginTop={1}>
      <Paragraph
        text={`${glyphs[ending.glyph]} ${headline(view, ending.word)}`}
        width={columns}
        tone={ending.tone}
      />
      {explanation(view).map(([label, text]) => (
        <Box key={label} flexShrink={0}>
          <Box width={LABEL} flexShrink={0}>
            <Line tone="quiet">{label}</Line>
          </Box>
          <Paragraph text={text} width={columns - LABEL} tone={label === "next" ? "strong" : "plain"} />
        </Box>
      ))}
    </Box>
  );
}

/** After a cutover whose smoke checks failed. */
const SMOKE_FAILED: Ending = { glyph: "failed", word: "SMOKE CHECKS FAILED", tone: "bad" };

function endingOf({ stopped, finished, smoke }: RunView): Ending | null {
  if (finished !== null) {
    const rests = finished.outcome === "retained" || finished.outcome === "rolled-back";
    return rests && smoke !== null && smoke.failed.length > 0 ? SMOKE_FAILED : ENDINGS[finished.outcome];
  }
  if (stopped === null) return null;
  const elsewhere = ELSEWHERE[stopped.kind];
  if (elsewhere !== undefined) return elsewhere;
  return ENDINGS[stopped.kind === "stopped" ? "stopped" : "failed"];
}

function headline({ stopped, finished }: RunView, word: string): string {
  if (stopped === null) return `${word}: ${finished?.message ?? ""}`;
  if (ELSEWHERE[stopped.kind] !== undefined) return word;
  const kind = stopped.kind === "stopped" ? "" : `${stopped.kind}, `;
  return `${word} (${kind}exit code ${stopped.exitCode})`;
}

function explanation({ stopped }: RunView): [label: string, text: string][] {
  if (stopped === null) return [];
  return [
    ["what", stopped.what],
    ["state", stopped.state],
    ["next", stopped.next],
  ];
}

/** Lines this panel takes at a width, its margin included. */
export function outcomeHeight(view: RunView, columns: number): number {
  const ending = endingOf(view);
  if (ending === null) return 0;
  const head = wrapWords(`  ${headline(view, ending.word)}`, columns).length;
  return explanation(view).reduce((sum, [, text]) => sum + wrapWords(text, columns - LABEL).length, 1 + head);
}

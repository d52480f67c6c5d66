/** What the keys do and what the glyphs mean. */
import { Box } from "ink";
import type { RunView } from "../../state/view.js";
import { type Glyph, useTheme } from "../theme.js";
import { Line, Span } from "./Line.js";

type Row = [key: string, does: string];

const OWN: Row = ["q, Ctrl-C", "quit safely, the run resumes; Ctrl-C twice leaves at once"];
const DETACH: Row = ["d", "go on without this terminal"];
const KEYS: Row[] = [
  ["p", "pause or continue; the application is not affected"],
  ["- +   o", "slower, faster: it rests between batches; postpone or allow cutover"],
  ["c", "cut over now, when the run says it is ready"],
  ["r", "roll back, in the retention window; asks for the table's name"],
  ["l", "the messages take the lower part of the screen, and give it back"],
  ["arrows", "look at one partition or part: what is known of it; Esc ends that"],
];

const LEGEND: [Glyph, string][] = [
  ["done", "done"],
  ["running", "running"],
  ["waiting", "waiting"],
  ["paused", "paused or stopped"],
  ["failed", "failed"],
  ["passed", "not run here"],
];

export function Help({ view, watching }: { view: RunView; watching: boolean }) {
  const leaving: Row = ["q, Ctrl-C", `leave; the run goes on. To stop it: partway stop ${view.migration}`];
  const keys = watching ? [leaving, ...KEYS] : [OWN, ...KEYS, DETACH];
  const { glyphs } = useTheme();
  return (
    <Box flexDirection="column" flexGrow={1} flexShrink={1} flexBasis={0} marginTop={1} overflow="hidden">
      <Box flexDirection="column" flexShrink={0}>
        {keys.map(([key, does]) => (
          <Line key={key}>
            <Span tone="strong">{key.padEnd(11)}</Span>
            {does}
          </Line>
        ))}
        <Line tone="quiet">{LEGEND.map(([glyph, word]) => `${glyphs[glyph]} ${word}`).join("  ")}</Line>
      </Box>
    </Box>
  );
}

/** What the keys do and what the glyphs mean. */
import { Box } from "ink";
import { type Glyph, useTheme } from "../theme.js";
import { Line, Span } from "./Line.js";

const KEYS: [key: string, does: string][] = [
  ["q, Ctrl-C", "quit safely, the run resumes; Ctrl-C twice leaves at once"],
  ["p", "pause or continue; the application is not affected"],
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

export function Help() {
  const { glyphs } = useTheme();
  return (
    <Box flexDirection="column" flexGrow={1} flexShrink={1} flexBasis={0} marginTop={1} overflow="hidden">
      <Box flexDirection="column" flexShrink={0}>
        {KEYS.map(([key, does]) => (
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

/** What is known besides the phases: one labelled line each. */
import { Box } from "ink";
import type { RunView } from "../../state/view.js";
import { factsOf } from "../facts.js";
import { useTheme } from "../theme.js";
import { Line, Span } from "./Line.js";

const LABEL = 11;
/** The phases to the left with their gap, the label, and what a sparkline has beside it. */
const BESIDE_SPARK = 29 + LABEL + 26;
const WIDEST_SPARK = 60;

export function Facts({ view, now, columns }: { view: RunView; now: number; columns: number }) {
  const { glyphs } = useTheme();
  const width = Math.min(WIDEST_SPARK, Math.max(8, columns - BESIDE_SPARK));
  return (
    <Box flexDirection="column" flexGrow={1} flexShrink={1} flexBasis={0}>
      {factsOf(view, now, { heights: glyphs.spark, width }).map((fact) => (
        <Line key={fact.label}>
          <Span tone="quiet">{fact.label.padEnd(LABEL)}</Span>
          <Span tone={fact.tone}>{fact.text}</Span>
        </Line>
      ))}
    </Box>
  );
}

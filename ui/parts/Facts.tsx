/** What is known besides the phases: one labelled line each. */
import { Box } from "ink";
import type { RunView } from "../../state/view.js";
import { factsOf } from "../facts.js";
import { Line, Span } from "./Line.js";

export function Facts({ view, now }: { view: RunView; now: number }) {
  return (
    <Box flexDirection="column" flexGrow={1} flexShrink={1} flexBasis={0}>
      {factsOf(view, now).map((fact) => (
        <Line key={fact.label}>
          <Span tone="quiet">{fact.label.padEnd(11)}</Span>
          <Span tone={fact.tone}>{fact.text}</Span>
        </Line>
      ))}
    </Box>
  );
}

/** Which table, on which server, since when; and the sentence that says whether it is safe. */
import { Box } from "ink";
import type { RunView } from "../../state/view.js";
import { duration, oneLine } from "../format.js";
import type { Tone } from "../theme.js";
import { Line, Paragraph } from "./Line.js";

export function Header({ view, now }: { view: RunView; now: number }) {
  const ended = (view.finished ?? view.stopped)?.at;
  const elapsed = (ended === undefined ? now : Date.parse(ended)) - Date.parse(view.startedAt);
  return (
    <Box flexDirection="column" flexShrink={0}>
      <Box justifyContent="space-between" columnGap={2}>
        <Line tone="strong">{oneLine(view.table)}</Line>
        <Line tone="quiet">
          {oneLine(view.migration)}
          {Number.isNaN(elapsed) ? "" : `  ${duration(elapsed)}`}
        </Line>
      </Box>
      <Line tone="quiet">{oneLine(view.server)}</Line>
    </Box>
  );
}

export function Safety({ view, columns }: { view: RunView; columns: number }) {
  return <Paragraph text={view.safety} width={columns} tone={safetyTone(view)} />;
}

function safetyTone(view: RunView): Tone {
  if (view.window?.safe === false || view.undo?.status === "failed") return "bad";
  if (view.stopped !== null || view.validation?.result === "different") return "warn";
  return "good";
}

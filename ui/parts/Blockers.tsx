/** Who holds the lock the run is waiting for. */
import { Box } from "ink";
import type { Blocker } from "../../state/events.js";
import type { RunView } from "../../state/view.js";
import { countdown, oneLine } from "../format.js";
import { Line, Span } from "./Line.js";

const SHOWN = 3;

export function Blockers({ view }: { view: RunView }) {
  const blockers = view.lockTry?.outcome === "timeout" ? view.lockTry.blockers : [];
  if (blockers.length === 0) return null;
  const hidden = blockers.length - SHOWN;
  return (
    <Box flexDirection="column" flexShrink={0} marginTop={1}>
      <Line tone="warn">
        {blockers.length === 1
          ? "Waiting for this transaction:"
          : `Waiting for ${blockers.length} transactions:`}
        {hidden > 0 ? ` (the first ${SHOWN})` : ""}
      </Line>
      {blockers.slice(0, SHOWN).map((blocker) => (
        <BlockerRow key={blocker.pid} blocker={blocker} />
      ))}
    </Box>
  );
}

function BlockerRow({ blocker }: { blocker: Blocker }) {
  const application = oneLine(blocker.application);
  return (
    <Line>
      {`  pid ${String(blocker.pid).padEnd(7)} open ${countdown(blocker.ageSeconds).padEnd(7)} `}
      <Span tone="quiet">{application === "" ? "" : `${application}: `}</Span>
      {oneLine(blocker.query)}
    </Line>
  );
}

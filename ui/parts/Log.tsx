/** The newest messages; the oldest leave first when there is no room. */
import { Box } from "ink";
import type { RunView } from "../../state/view.js";
import { oneLine, timeOfDay } from "../format.js";
import type { Tone } from "../theme.js";
import { Line, Span } from "./Line.js";

type Entry = RunView["log"][number];

const TONES: Record<Entry["level"], Tone> = { info: "plain", warn: "warn", error: "bad" };
const WORDS: Record<Entry["level"], string> = { info: "", warn: "warning: ", error: "error: " };

/** `rows`: the terminal's height, more than can ever be shown. */
export function Log({ view, rows }: { view: RunView; rows: number }) {
  return (
    <Box
      flexDirection="column"
      justifyContent="flex-end"
      flexGrow={1}
      flexShrink={1}
      flexBasis={0}
      marginTop={1}
      overflow="hidden"
    >
      <Box flexDirection="column" flexShrink={0}>
        {view.log.slice(-rows).map((entry, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: lines hold no state, and messages repeat
          <LogRow key={index} entry={entry} />
        ))}
      </Box>
    </Box>
  );
}

function LogRow({ entry }: { entry: Entry }) {
  return (
    <Line>
      <Span tone="quiet">{timeOfDay(entry.at)} </Span>
      <Span tone={TONES[entry.level]}>
        {WORDS[entry.level]}
        {oneLine(entry.message)}
      </Span>
    </Line>
  );
}

/** Asks for the table's name before the application goes back to the original table. */
import { Box } from "ink";
import type { RunView } from "../../state/view.js";
import { oneLine, plural } from "../format.js";
import { useTheme } from "../theme.js";
import { Line, Paragraph, Span } from "./Line.js";

export function Confirm({ view, typed, columns }: { view: RunView; typed: string; columns: number }) {
  const { glyphs } = useTheme();
  const behind = plural(view.window?.keysBehind ?? 0, "key");
  return (
    <Box flexDirection="column" flexShrink={0} flexGrow={1} marginTop={1}>
      <Paragraph
        text={`Roll back: the application returns to the original table. No write is lost; ${behind} to apply first.`}
        width={columns}
        tone="strong"
      />
      <Paragraph text={`Type ${oneLine(view.table)} and press Enter. Esc cancels.`} width={columns} />
      <Line>
        {`> ${typed}`}
        <Span tone="quiet">{glyphs.caret}</Span>
      </Line>
    </Box>
  );
}

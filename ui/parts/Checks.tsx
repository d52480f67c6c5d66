/** The conditions of the cutover, ticked off as they are looked at. */
import { Box } from "ink";
import type { RunView } from "../../state/view.js";
import { oneLine } from "../format.js";
import { type Glyph, type Tone, useTheme } from "../theme.js";
import { Line, Span } from "./Line.js";

const WIDTH = 26;

export function Checks({ view, columns, rows }: { view: RunView; columns: number; rows: number }) {
  const { glyphs } = useTheme();
  const { checks } = view;
  if (checks.length === 0 || rows < 1) return null;
  const across = Math.max(1, Math.min(Math.floor(columns / WIDTH), Math.ceil(checks.length / 2)));
  const lines = Math.ceil(checks.length / across);
  const holds = checks.filter((check) => check.ok === true).length;
  if (lines > rows - 1)
    return (
      <Box flexShrink={0} marginTop={1}>
        <Line tone="quiet">{`${holds} of ${checks.length} conditions of the cutover hold; now the lock:`}</Line>
      </Box>
    );
  return (
    <Box flexDirection="column" flexShrink={0} marginTop={1}>
      {Array.from({ length: lines }, (_, line) => (
        <Line key={checks[line * across]?.name}>
          {checks.slice(line * across, (line + 1) * across).map((check) => {
            const { glyph, tone } = lookOf(check.ok);
            return (
              <Span key={check.name} tone={tone}>
                {`${glyphs[glyph]} ${oneLine(check.name)}`.padEnd(WIDTH)}
              </Span>
            );
          })}
        </Line>
      ))}
    </Box>
  );
}

function lookOf(ok: boolean | null): { glyph: Glyph; tone: Tone } {
  if (ok === null) return { glyph: "waiting", tone: "quiet" };
  return ok ? { glyph: "done", tone: "good" } : { glyph: "failed", tone: "bad" };
}

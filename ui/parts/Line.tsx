/** Text on the screen: a line is cut at the edge, a paragraph is broken between words. */
import { Box, Text } from "ink";
import type { ReactNode } from "react";
import { wrapWords } from "../format.js";
import { type Tone, useTheme } from "../theme.js";

/** A piece of text in the tone that says what it means; goes inside a `Line`. */
export function Span({ tone = "plain", children }: { tone?: Tone; children: ReactNode }) {
  return <Text {...useTheme().styles[tone]}>{children}</Text>;
}

/** One line, never more: what does not fit is cut. */
export function Line({ tone = "plain", children }: { tone?: Tone; children: ReactNode }) {
  return (
    <Text {...useTheme().styles[tone]} wrap="truncate-end">
      {children}
    </Text>
  );
}

/** A sentence or command that must be read whole. Ink's own wrapping may begin a line with the space it broke at. */
export function Paragraph({ text, width, tone = "plain" }: { text: string; width: number; tone?: Tone }) {
  return (
    <Box flexDirection="column" flexShrink={0}>
      <Line tone={tone}>{wrapWords(text, width).join("\n")}</Line>
    </Box>
  );
}

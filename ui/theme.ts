/** Colours and glyphs, apart from what they decorate. Every state is told by glyph and word; colour only helps. */
import type { TextProps } from "ink";
import { createContext, useContext } from "react";

/** What a piece of text means; a theme says how that looks. */
export type Tone = "plain" | "strong" | "quiet" | "good" | "warn" | "bad";

export interface Theme {
  styles: Record<Tone, Pick<TextProps, "color" | "bold" | "dimColor">>;
  glyphs: Glyphs;
}

export type Glyph =
  | "done"
  | "running"
  | "waiting"
  | "paused"
  | "failed"
  | "passed"
  | "full"
  | "empty"
  | "third"
  | "half"
  | "most"
  | "differs"
  | "spark"
  | "chosen"
  | "branch"
  | "corner"
  | "caret";
export type Glyphs = Record<Glyph, string>;

const UNICODE: Glyphs = {
  done: "✔",
  running: "▶",
  waiting: "·",
  paused: "‖",
  failed: "✘",
  passed: "-",
  full: "█",
  empty: "░",
  third: "░",
  half: "▒",
  most: "▓",
  differs: "!",
  chosen: "◆",
  branch: "├─",
  corner: "└─",
  spark: "▁▂▃▄▅▆▇█",
  caret: "▏",
};

const ASCII: Glyphs = {
  done: "+",
  running: ">",
  waiting: ".",
  paused: "|",
  failed: "x",
  passed: "-",
  full: "#",
  empty: "-",
  third: ":",
  half: "o",
  most: "O",
  differs: "!",
  chosen: "@",
  branch: "|-",
  corner: "`-",
  spark: "_.-=+*%#",
  caret: "_",
};

/**
 * Read on black as on white: green and amber as dark as that asks (contrast 3.6 and more on both), where the terminal has
 * more than 16 colours; where not, they are its own green and yellow.
 */
const COLOURED: Theme["styles"] = {
  plain: {},
  strong: { bold: true },
  quiet: { dimColor: true },
  good: { color: "#2e8b57" },
  warn: { color: "#a88000" },
  bad: { color: "red", bold: true },
};

const PLAIN: Theme["styles"] = { plain: {}, strong: {}, quiet: {}, good: {}, warn: {}, bad: {} };

/** Without colour, with Unicode glyphs. */
export const plainTheme: Theme = { styles: PLAIN, glyphs: UNICODE };

/**
 * The theme an environment asks for. NO_COLOR set to anything but the empty string means no escape sequences
 * (https://no-color.org; chalk 5, which Ink uses, does not look at it). Glyphs beyond ASCII only where the locale
 * says UTF-8: tmux and others print `_` for them elsewhere.
 */
export function themeFor(env: NodeJS.ProcessEnv): Theme {
  const { LC_ALL, LC_CTYPE, LANG, WT_SESSION, NO_COLOR } = env;
  const unicode = /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || "") || WT_SESSION !== undefined;
  return { styles: NO_COLOR ? PLAIN : COLOURED, glyphs: unicode ? UNICODE : ASCII };
}

export const ThemeContext = createContext<Theme>(plainTheme);

/** The theme in force. */
export function useTheme(): Theme {
  return useContext(ThemeContext);
}

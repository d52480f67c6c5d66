/** Terminal frames (as `tmux capture-pane -e` gives them) as one SVG: a still, or frames that follow each other. Pure. */

export interface Frame {
  /** Lines with SGR sequences. */
  text: string;
  /** How long it stands, in seconds. */
  seconds: number;
}

interface Style {
  fg: string | null;
  bg: string | null;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
  inverse: boolean;
}

interface Span extends Style {
  column: number;
  text: string;
}

const PLAIN: Style = {
  fg: null,
  bg: null,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  inverse: false,
};

const BACK = "#11151c";
const FORE = "#d5dbe5";
const COLOURS = [
  ...["#3b4252", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d5dbe5"],
  ...["#6b7488", "#ff8b92", "#b5e08f", "#ffd98a", "#8cc8ff", "#dd9bf0", "#7fd5e0", "#ffffff"],
];
/** One character, in pixels, at this size of font. */
const CELL = { width: 8.4, height: 18, font: 14 };
const PAD = 14;

/** `title` stands in the window's bar and is what a screen reader says. */
export function toSvg(
  frames: readonly Frame[],
  size: { columns: number; rows: number },
  title: string,
): string {
  const width = Math.ceil(size.columns * CELL.width + 2 * PAD);
  const height = size.rows * CELL.height + 2 * PAD + 26;
  const total = frames.reduce((sum, frame) => sum + frame.seconds, 0);
  let from = 0;
  const drawn = frames.map((frame, at) => {
    const [begin, end] = [from / total, (from + frame.seconds) / total];
    from += frame.seconds;
    const css = frames.length === 1 ? "" : animation(at, begin, end, total);
    return { css, body: `<g class="f f${at}">${drawFrame(frame.text)}</g>` };
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(title)}">
<style>text{font:${CELL.font}px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:${FORE};white-space:pre}.b{font-weight:700}.d{opacity:.62}.i{font-style:italic}.u{text-decoration:underline}${drawn.map(({ css }) => css).join("")}</style>
<rect width="${width}" height="${height}" rx="8" fill="${BACK}"/>
<circle cx="18" cy="17" r="5" fill="#e06c75"/><circle cx="36" cy="17" r="5" fill="#e5c07b"/><circle cx="54" cy="17" r="5" fill="#98c379"/>
<text x="${width / 2}" y="22" text-anchor="middle" class="d">${escaped(title)}</text>
<g transform="translate(${PAD} ${PAD + 26})">
${drawn.map(({ body }) => body).join("\n")}
</g>
</svg>
`;
}

/** Who wants no motion sees the last frame. */
function animation(at: number, begin: number, end: number, seconds: number): string {
  const percent = (share: number) => `${(share * 100).toFixed(2)}%`;
  const shown = `${begin === 0 ? "" : `0%,${percent(begin - 0.0001)}{visibility:hidden}`}${percent(begin)},${percent(end - 0.0001)}{visibility:visible}${percent(end)},100%{visibility:${end >= 1 ? "visible" : "hidden"}}`;
  return `@keyframes k${at}{${shown}}.f${at}{visibility:hidden;animation:k${at} ${seconds}s steps(1) infinite}@media(prefers-reduced-motion:reduce){.f${at}{animation:none;visibility:${end >= 1 ? "visible" : "hidden"}}}`;
}

/** tmux goes on in a line's last style on the next one. */
function drawFrame(text: string): string {
  let style = PLAIN;
  return text
    .split("\n")
    .map((line, row) => {
      const parsed = parse(line, style);
      style = parsed.after;
      return drawLine(parsed.spans, row);
    })
    .join("");
}

function drawLine(spans: Span[], row: number): string {
  const y = row * CELL.height;
  const rects = spans.flatMap((span) => {
    const back = span.inverse ? (span.fg ?? FORE) : span.bg;
    if (back === null) return [];
    const x = (span.column * CELL.width).toFixed(1);
    return [
      `<rect x="${x}" y="${y}" width="${([...span.text].length * CELL.width).toFixed(1)}" height="${CELL.height}" fill="${back}"/>`,
    ];
  });
  const words = spans.filter((span) => span.text.trim() !== "");
  if (words.length === 0) return rects.join("");
  const text = words.map(drawSpan).join("");
  return `${rects.join("")}<text y="${y + CELL.height * 0.76}">${text}</text>`;
}

/** Its length is given, so that columns stand under each other whatever font the reader has. */
function drawSpan(span: Span): string {
  const colour = span.inverse ? (span.bg ?? BACK) : span.fg;
  const kinds = [span.bold && "b", span.dim && "d", span.italic && "i", span.underline && "u"].filter(
    Boolean,
  );
  const length = [...span.text].length;
  return `<tspan x="${(span.column * CELL.width).toFixed(1)}" textLength="${(length * CELL.width).toFixed(1)}" lengthAdjust="spacingAndGlyphs"${kinds.length > 0 ? ` class="${kinds.join(" ")}"` : ""}${colour === null ? "" : ` fill="${colour}"`}>${escaped(span.text)}</tspan>`;
}

/** A line's runs of one style, and the style it ends in. */
function parse(line: string, before: Style): { spans: Span[]; after: Style } {
  const spans: Span[] = [];
  let style = before;
  let column = 0;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is read here.
  for (const part of line.split(/(\u001b\[[0-9;]*m)/)) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: as above.
    const codes = /^\u001b\[([0-9;]*)m$/.exec(part)?.[1];
    if (codes !== undefined) style = after(style, codes === "" ? [0] : codes.split(";").map(Number));
    else if (part !== "") {
      spans.push({ ...style, column, text: part });
      column += [...part].length;
    }
  }
  return { spans, after: style };
}

function after(before: Style, codes: number[]): Style {
  let style = before;
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at] ?? 0;
    if (code === 38 || code === 48) {
      const [colour, used] = extended(codes.slice(at + 1));
      style = code === 38 ? { ...style, fg: colour } : { ...style, bg: colour };
      at += used;
    } else style = simple(style, code);
  }
  return style;
}

function simple(style: Style, code: number): Style {
  if (code >= 30 && code <= 37) return { ...style, fg: COLOURS[code - 30] ?? null };
  if (code >= 90 && code <= 97) return { ...style, fg: COLOURS[code - 82] ?? null };
  if (code >= 40 && code <= 47) return { ...style, bg: COLOURS[code - 40] ?? null };
  if (code >= 100 && code <= 107) return { ...style, bg: COLOURS[code - 92] ?? null };
  switch (code) {
    case 0:
      return PLAIN;
    case 1:
      return { ...style, bold: true };
    case 2:
      return { ...style, dim: true };
    case 3:
      return { ...style, italic: true };
    case 4:
      return { ...style, underline: true };
    case 7:
      return { ...style, inverse: true };
    case 22:
      return { ...style, bold: false, dim: false };
    case 23:
      return { ...style, italic: false };
    case 24:
      return { ...style, underline: false };
    case 27:
      return { ...style, inverse: false };
    case 39:
      return { ...style, fg: null };
    case 49:
      return { ...style, bg: null };
    default:
      return style;
  }
}

/** `5;n` or `2;r;g;b`: the colour, and how many codes it took. */
function extended([kind, a = 0, b = 0, c = 0]: number[]): [string | null, number] {
  if (kind === 2) return [`rgb(${a},${b},${c})`, 4];
  if (kind !== 5) return [null, 0];
  if (a < 16) return [COLOURS[a] ?? null, 2];
  if (a >= 232) {
    const grey = (a - 232) * 10 + 8;
    return [`rgb(${grey},${grey},${grey})`, 2];
  }
  const level = (n: number) => (n === 0 ? 0 : 55 + n * 40);
  const n = a - 16;
  return [`rgb(${level(Math.floor(n / 36))},${level(Math.floor(n / 6) % 6)},${level(n % 6)})`, 2];
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

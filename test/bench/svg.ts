/** A result as a picture: seconds of each way, and the writers' p99 from before the migration to after it. Pure. */
import { medianOf, type Result } from "./result.js";
import { WAYS } from "./tables.js";

interface Bar {
  name: string;
  /** Drawn one after the other. */
  parts: { value: number; colour: string }[];
  label: string;
}

interface Panel {
  title: string;
  bars: Bar[];
}

const SPANS = ["before", "copy", "index", "validate", "cutover", "window", "after"];
const COLOURS = {
  copy: "#2f6fb0",
  index: "#7fb0dd",
  rest: "#b9c4d0",
  validate: "#e0a33c",
  latency: "#3f8f6b",
};
const SIZE = { width: 900, name: 330, label: 90, bar: 18, gap: 8, title: 34, pad: 20 };

export function svg(result: Result): string {
  const panels = [ways(result), latency(result)].filter(({ bars }) => bars.length > 0);
  let y = SIZE.pad + 24;
  const drawn = panels.map((panel) => {
    const text = drawPanel(panel, y);
    y += SIZE.title + panel.bars.length * (SIZE.bar + SIZE.gap) + SIZE.pad;
    return text;
  });
  const height = y + SIZE.pad;
  const title = `PostgreSQL ${result.server}, ${result.rows.toLocaleString("en-US")} rows, ${result.machine["cpu"] ?? ""}, ${result.machine["cores"] ?? "?"} cores, ${result.started.slice(0, 10)}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE.width} ${height}" width="${SIZE.width}" height="${height}" role="img" font-family="system-ui, sans-serif" font-size="13">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    `<text x="${SIZE.pad}" y="${SIZE.pad + 10}" fill="#555">${escaped(title)}</text>`,
    ...drawn,
    "</svg>\n",
  ].join("\n");
}

function ways(result: Result): Panel {
  const bars = WAYS.flatMap(([part, name]): Bar[] => {
    const of = (value: string) => medianOf(result, part, value);
    const total = of("seconds");
    if (total === null) return [];
    const [copy, index] = [of("copySeconds") ?? 0, of("indexSeconds") ?? 0];
    const validate = Math.max(0, (of("secondsWithValidation") ?? total) - total);
    const parts = [
      { value: copy, colour: COLOURS.copy },
      { value: index, colour: COLOURS.index },
      { value: Math.max(0, total - copy - index), colour: COLOURS.rest },
      { value: validate, colour: COLOURS.validate },
    ];
    return [{ name, parts, label: `${(total + validate).toFixed(1)} s` }];
  });
  return { title: "Seconds: copy, indexes, not divided, validation (median)", bars };
}

function latency(result: Result): Panel {
  const bars = SPANS.flatMap((span): Bar[] => {
    const p99 = medianOf(result, "partway-500", `${span}.p99`);
    if (p99 === null) return [];
    const max = medianOf(result, "partway-500", `${span}.max`);
    return [
      {
        name: span,
        parts: [{ value: p99, colour: COLOURS.latency }],
        label: `${p99.toFixed(1)} ms${max === null ? "" : ` (max ${max.toFixed(0)})`}`,
      },
    ];
  });
  return { title: "Writers at 500 statements a second: p99 latency (median of runs)", bars };
}

function drawPanel({ title, bars }: Panel, top: number): string {
  const room = SIZE.width - SIZE.name - SIZE.label - 2 * SIZE.pad - 40;
  const longest = Math.max(
    ...bars.map(({ parts }) => parts.reduce((sum, { value }) => sum + value, 0)),
    1e-9,
  );
  const left = SIZE.pad + SIZE.name;
  const lines = bars.map(({ name, parts, label }, i) => {
    const y = top + SIZE.title + i * (SIZE.bar + SIZE.gap);
    let x = left;
    const rects = parts.map(({ value, colour }) => {
      const width = (value / longest) * room;
      const rect = `<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${SIZE.bar}" fill="${colour}"/>`;
      x += width;
      return rect;
    });
    const base = y + SIZE.bar - 5;
    return [
      `<text x="${left - 8}" y="${base}" text-anchor="end" fill="#222">${escaped(name)}</text>`,
      ...rects,
      `<text x="${(x + 6).toFixed(1)}" y="${base}" fill="#222">${escaped(label)}</text>`,
    ].join("\n");
  });
  return [
    `<text x="${SIZE.pad}" y="${top + 18}" font-weight="600" fill="#222">${escaped(title)}</text>`,
    ...lines,
  ].join("\n");
}

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** The pictures: phases over time, and curves. Inline SVG that takes its colours from the page. */
import { count, duration } from "../../ui/format.js";
import { niceTicks, type TimeAxis, timeAxis } from "./axis.js";
import type { LineChart, Timeline } from "./doc.js";

const WIDTH = 920;
const ROW = 26;
const NAMES = 84;
/** Room for a label behind the last bar. */
const TAIL = 112;

export function TimelineChart({ timeline }: { timeline: Timeline }) {
  const axis = timeAxis(timeline.work, NAMES, WIDTH - NAMES - TAIL);
  const bottom = 22 + timeline.rows.length * ROW;
  return (
    <svg viewBox={`0 0 ${WIDTH} ${bottom + 22}`} role="img" aria-label="Phases over time">
      <TimeGrid axis={axis} top={22} bottom={bottom} />
      {timeline.rows.map(({ name, bars }, at) => {
        const y = 22 + at * ROW;
        const last = bars.at(-1);
        const whole = bars.reduce((sum, { from, to }) => sum + to - from, 0);
        return (
          <g key={name}>
            <text className="name" x={0} y={y + 17}>
              {name}
            </text>
            {bars.map((bar) => (
              <rect
                key={bar.from}
                className={`bar-${bar.tone}`}
                x={round(axis.x(bar.from))}
                y={y + 6}
                width={round(Math.max(2.5, axis.x(bar.to) - axis.x(bar.from)))}
                height={14}
                rx={2}
              >
                <title>{`${name}: ${bar.label}`}</title>
              </rect>
            ))}
            {last === undefined ? null : (
              <text x={round(Math.max(axis.x(last.to), axis.x(last.from) + 2.5) + 6)} y={y + 17}>
                {bars.length === 1 ? last.label : `${duration(whole)} in ${bars.length} parts`}
              </text>
            )}
          </g>
        );
      })}
    </svg>
  );
}

const HEIGHT = 170;
const LEFT = 64;

export function CurveChart({ chart }: { chart: LineChart }) {
  const points = chart.lines.flat();
  const spans = chart.lines.map((line) => ({ from: line[0]?.t ?? 0, to: line.at(-1)?.t ?? 0 }));
  const axis = timeAxis(spans, LEFT, WIDTH - LEFT - 12);
  const ticks = niceTicks(Math.max(0, ...points.map(({ v }) => v)));
  const top = ticks.at(-1) ?? 1;
  const [above, below] = [20, HEIGHT - 24];
  const y = (v: number) => round(below - (v / top) * (below - above));
  const path = (line: LineChart["lines"][number]) =>
    line.map(({ t, v }, at) => `${at === 0 ? "M" : "L"}${round(axis.x(t))} ${y(v)}`).join("");
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${chart.title}. ${chart.words}`}>
      {ticks.map((tick) => (
        <g key={tick}>
          <line className="grid" x1={LEFT} x2={WIDTH - 12} y1={y(tick)} y2={y(tick)} />
          <text x={LEFT - 8} y={y(tick) + 4} textAnchor="end">
            {short(tick)}
          </text>
        </g>
      ))}
      <text x={LEFT} y={11}>
        {chart.unit}
      </text>
      <TimeGrid axis={axis} top={below} bottom={below} />
      {chart.lines.map((line) => {
        const [first, last] = [line[0], line.at(-1)];
        if (first === undefined || last === undefined) return null;
        if (line.length === 1)
          return <circle key={first.t} className="dot" cx={round(axis.x(first.t))} cy={y(first.v)} r={3} />;
        const area = `${path(line)}L${round(axis.x(last.t))} ${below}L${round(axis.x(first.t))} ${below}Z`;
        return (
          <g key={first.t}>
            <path className="area" d={area} />
            <path className="curve" d={path(line)} />
          </g>
        );
      })}
    </svg>
  );
}

/** Vertical lines at round times, and where the axis is cut. */
function TimeGrid({ axis, top, bottom }: { axis: TimeAxis; top: number; bottom: number }) {
  return (
    <>
      {axis.ticks.map(({ x, label }) => (
        <g key={x}>
          <line className="grid" x1={round(x)} x2={round(x)} y1={top} y2={bottom + 4} />
          <text x={round(x)} y={bottom + 17} textAnchor="middle">
            {label}
          </text>
        </g>
      ))}
      {axis.breaks.map(({ x, ms }) => (
        <g key={x}>
          <line className="break" x1={round(x)} x2={round(x)} y1={16} y2={bottom} />
          <text x={round(x)} y={11} textAnchor="middle">
            {`// ${duration(ms)}`}
          </text>
        </g>
      ))}
    </>
  );
}

function round(n: number): number {
  return Math.round(n * 10) / 10;
}

/** `1,500`, `25k`, `3.5M`. */
function short(n: number): string {
  if (n >= 1e6) return `${Math.round(n / 1e5) / 10}M`;
  return n >= 1e4 ? `${Math.round(n / 100) / 10}k` : count(n);
}

/** The screen of a run: everything an operator needs to decide, on one page. */
import { Box, type Key, useInput, useStdin } from "ink";
import { useEffect, useRef, useState } from "react";
import type { Wish } from "../state/events.js";
import type { RunView, ViewSource } from "../state/view.js";
import { type Controls, IDLE, isOver, type Press, press, settle } from "./controls.js";
import { factsOf } from "./facts.js";
import { oneLine, wrapWords } from "./format.js";
import { shapeFor } from "./grid.js";
import { type Size, useNow, useSize, useView } from "./hooks.js";
import { panelRows } from "./layout.js";
import { AT_EASE, type Looking, look } from "./looking.js";
import { Blockers } from "./parts/Blockers.js";
import { Checks } from "./parts/Checks.js";
import { Confirm } from "./parts/Confirm.js";
import { Facts } from "./parts/Facts.js";
import { Header, Safety } from "./parts/Header.js";
import { Help } from "./parts/Help.js";
import { Keys } from "./parts/Keys.js";
import { Line } from "./parts/Line.js";
import { Log } from "./parts/Log.js";
import { Outcome, outcomeHeight } from "./parts/Outcome.js";
import { Phases } from "./parts/Phases.js";
import { Pieces, type PiecesProps } from "./parts/Pieces.js";
import { Progress } from "./parts/Progress.js";
import { Ready } from "./parts/Ready.js";
import { useTheme } from "./theme.js";

export interface AppProps {
  source: ViewSource;
  /** Sends a command; gives why it was not obeyed, or null, now or later. */
  onCommand(command: Wish): string | null | Promise<string | null>;
  /** The operator will not wait for a safe stop (second Ctrl-C). */
  onLeave?: () => void;
  /** One of several runs: a line that says where the whole stands. */
  whole?: string;
  /** Another process runs it: leaving stops nothing. */
  watching?: boolean;
  /** Milliseconds since the epoch; the system's clock unless a test says otherwise. */
  clock?: () => number;
}

/** The screen. Reads the view, sends commands, knows nothing else. */
export function App({ source, onCommand, onLeave, whole, watching = false, clock = Date.now }: AppProps) {
  const view = useView(source);
  const size = useSize();
  const now = useNow(clock, !isOver(view));
  const controls = useControls({ source, onCommand, onLeave, watching }, view);
  const { glyphs } = useTheme();
  const facts = factsOf(view, now, { heights: glyphs.spark, width: 8 }).length;
  const free = panelRows(view, size, facts, whole !== undefined);
  const looking = useLooking(view, size, free, controls.typed === null);
  const open = !controls.help && controls.typed === null && !isOver(view);
  return (
    <Box
      flexDirection="column"
      height={frameHeight(view, size, whole)}
      width={size.columns}
      overflow="hidden"
    >
      <Header view={view} now={now} />
      {whole === undefined ? null : (
        <Box flexShrink={0}>
          <Line tone="quiet">{oneLine(whole)}</Line>
        </Box>
      )}
      <Safety view={view} columns={size.columns} />
      <Box flexDirection="column" flexGrow={1} flexShrink={1} flexBasis={0} overflow="hidden">
        {(looking.tall || (controls.help && size.rows < ROOMY)) && !isOver(view) ? null : (
          <Box marginTop={1} columnGap={2} flexShrink={0}>
            <Phases view={view} now={now} />
            <Facts view={view} now={now} columns={size.columns} />
          </Box>
        )}
        <Progress view={view} columns={size.columns} />
        {open && !looking.tall ? (
          <Panel view={view} columns={size.columns} rows={free} chosen={looking.piece} now={now} />
        ) : null}
        {controls.help || controls.typed !== null ? null : <Blockers view={view} />}
        {controls.help ? null : <Ready view={view} columns={size.columns} />}
        <Outcome view={view} columns={size.columns} />
        <Lower view={view} controls={controls} size={size} watching={watching} />
      </Box>
      <Keys view={view} controls={controls} watching={watching} columns={size.columns} />
    </Box>
  );
}

/** From so many lines on the help need not take the place of the phases. */
const ROOMY = 34;

/** What the phase under way is made of: its pieces, or the conditions of the cutover, shortly while it is held up. */
function Panel(props: PiecesProps) {
  const heldUp = props.view.lockTry?.outcome === "timeout";
  if (heldUp) return <Checks {...props} rows={1} />;
  return props.view.checks.length > 0 ? <Checks {...props} /> : <Pieces {...props} />;
}

interface LowerProps {
  view: RunView;
  controls: Controls;
  size: Size;
  watching: boolean;
}

function Lower({ view, controls, size, watching }: LowerProps) {
  const { columns, rows } = size;
  if (isOver(view)) return <Log view={view} rows={rows} />;
  if (controls.typed !== null) return <Confirm view={view} typed={controls.typed} columns={columns} />;
  return controls.help ? <Help view={view} watching={watching} /> : <Log view={view} rows={rows} />;
}

/**
 * One line less than the terminal: from its full height on, Ink clears the whole terminal and its scrollback at
 * every frame. The frame left behind at the end is only as tall as it needs to be.
 */
function frameHeight(view: RunView, { columns, rows }: Size, whole: string | undefined): number {
  const most = Math.max(1, rows - 1);
  if (!isOver(view)) return most;
  const phases = view.phases.length + (view.undo === null ? 0 : 1);
  const header = whole === undefined ? 2 : 3;
  const above = header + wrapWords(view.safety, columns).length + 1 + phases + outcomeHeight(view, columns);
  return Math.min(most, above + (view.log.length === 0 ? 0 : 1 + view.log.length));
}

/** Keys typed by the operator, and what they have led to so far. */
function useControls(
  {
    source,
    onCommand,
    onLeave,
    watching,
  }: Pick<AppProps, "source" | "onCommand"> & { onLeave: AppProps["onLeave"] | undefined; watching: boolean },
  view: RunView,
): Controls {
  // The ref is the truth: several keys may arrive before React draws again.
  const latest = useRef(IDLE);
  const [controls, setControls] = useState(IDLE);
  const keep = (next: Controls) => {
    latest.current = next;
    setControls(next);
  };
  useEffect(() => {
    latest.current = settle(latest.current, view);
    setControls(latest.current);
  }, [view]);
  const ask = async (command: Wish) => {
    const why = await onCommand(command);
    if (why !== null) keep({ ...latest.current, asked: null, notice: why });
  };
  useInput(
    (input, key) => {
      const reaction = press(latest.current, toPress(input, key), source.current(), watching);
      keep(reaction.controls);
      if (reaction.command !== null) void ask(reaction.command);
      if (reaction.leave) onLeave?.();
    },
    { isActive: useStdin().isRawModeSupported },
  );
  return controls;
}

/** Keys that change only what is looked at; none of them while a name is being typed. */
function useLooking(view: RunView, size: Size, rows: number, isActive: boolean): Looking {
  const [looking, setLooking] = useState(AT_EASE);
  const raw = useStdin().isRawModeSupported;
  useInput(
    (input, key) => {
      const pieces = view.map?.cells.length ?? 0;
      const glance = {
        ...{ input, escape: key.escape, left: key.leftArrow, right: key.rightArrow },
        ...{ up: key.upArrow, down: key.downArrow },
      };
      setLooking((before) =>
        look(before, glance, { pieces, ...shapeFor(pieces, size.columns, Math.max(1, rows - 1)) }),
      );
    },
    { isActive: isActive && raw },
  );
  return looking;
}

function toPress(input: string, key: Key): Press {
  return {
    input,
    ctrl: key.ctrl,
    escape: key.escape,
    enter: key.return,
    erase: key.backspace || key.delete,
  };
}

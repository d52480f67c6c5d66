/** The bottom line: the keys that do something now, and what the last one led to. */
import { Box } from "ink";
import type { RunView } from "../../state/view.js";
import { type Controls, canCutOver, canPostpone, canRollBack, isOver, pending } from "../controls.js";
import { Line, Span } from "./Line.js";

export interface KeysProps {
  view: RunView;
  controls: Controls;
  /** Another process runs it. */
  watching: boolean;
  columns: number;
}

const GAP = 3;

export function Keys({ view, controls, watching, columns }: KeysProps) {
  if (isOver(view)) return null;
  const waitingFor = controls.asked === null ? null : pending(controls.asked, view);
  const message = controls.notice ?? waitingFor;
  return (
    <Box flexDirection="column" flexShrink={0}>
      <Line tone="warn">{message ?? " "}</Line>
      <Line>
        {keysFor(view, controls, watching, columns).map(([key, does], index) => (
          <Span key={key}>
            {index === 0 ? "" : " ".repeat(GAP)}
            <Span tone="strong">{key}</Span> <Span tone="quiet">{does}</Span>
          </Span>
        ))}
      </Line>
    </Box>
  );
}

type Shown = [key: string, does: string];

/** The keys that do something now: those that are asked for most, and of the others as many as there is room for. */
function keysFor(view: RunView, controls: Controls, watching: boolean, columns: number): Shown[] {
  if (controls.typed !== null) {
    return [
      ["Enter", "roll back"],
      ["Esc", "cancel"],
      ["Ctrl-C", watching ? "leave" : "quit safely"],
    ];
  }
  const keys: Shown[] = [
    watching ? ["q", "leave; the run goes on"] : ["q", "quit safely"],
    ["p", view.paused ? "continue" : "pause"],
  ];
  if (canCutOver(view)) keys.push(["c", "cut over now"]);
  if (canRollBack(view) && view.window?.safe === true) keys.push(["r", "roll back"]);
  keys.push(["l", "log"]);
  if (view.map !== null)
    keys.push(["arrows", view.map.of === "leaves" ? "look at a leaf" : "look at a part"]);
  const last: Shown = ["?", controls.help ? "close help" : "help"];
  for (const more of others(view, watching)) if (widthOf([...keys, more, last]) <= columns) keys.push(more);
  return [...keys, last];
}

function others(view: RunView, watching: boolean): Shown[] {
  return [
    ["- +", "slower, faster"],
    ...(canPostpone(view) ? [["o", view.postponed ? "allow cutover" : "postpone"] satisfies Shown] : []),
    ...(watching ? [] : [["d", "detach"] satisfies Shown]),
  ];
}

function widthOf(keys: readonly Shown[]): number {
  return keys.reduce((sum, [key, does]) => sum + key.length + 1 + does.length, (keys.length - 1) * GAP);
}

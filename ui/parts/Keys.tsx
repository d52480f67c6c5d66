/** The bottom line: the keys that do something now, and what the last one led to. */
import { Box } from "ink";
import type { RunView } from "../../state/view.js";
import { type Controls, canCutOver, canRollBack, isOver, pending } from "../controls.js";
import { Line, Span } from "./Line.js";

export interface KeysProps {
  view: RunView;
  controls: Controls;
  /** Another process runs it. */
  watching: boolean;
}

export function Keys({ view, controls, watching }: KeysProps) {
  if (isOver(view)) return null;
  const waitingFor = controls.asked === null ? null : pending(controls.asked, view);
  const message = controls.notice ?? waitingFor;
  return (
    <Box flexDirection="column" flexShrink={0}>
      <Line tone="warn">{message ?? " "}</Line>
      <Line>
        {keysFor(view, controls, watching).map(([key, does], index) => (
          <Span key={key}>
            {index === 0 ? "" : "   "}
            <Span tone="strong">{key}</Span> <Span tone="quiet">{does}</Span>
          </Span>
        ))}
      </Line>
    </Box>
  );
}

function keysFor(view: RunView, controls: Controls, watching: boolean): [key: string, does: string][] {
  if (controls.typed !== null) {
    return [
      ["Enter", "roll back"],
      ["Esc", "cancel"],
      ["Ctrl-C", watching ? "leave" : "quit safely"],
    ];
  }
  const keys: [string, string][] = [
    watching ? ["q", "leave; the run goes on"] : ["q", "quit safely"],
    ["p", view.paused ? "continue" : "pause"],
  ];
  if (canCutOver(view)) keys.push(["c", "cut over now"]);
  if (canRollBack(view) && view.window?.safe === true) keys.push(["r", "roll back"]);
  keys.push(["l", "log"]);
  if (view.map !== null)
    keys.push(["arrows", view.map.of === "leaves" ? "look at a leaf" : "look at a part"]);
  return [...keys, ["?", controls.help ? "close help" : "help"]];
}

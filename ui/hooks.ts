/** What the screen follows: the view, the size of the terminal, the clock. */
import { useStdout } from "ink";
import { useCallback, useEffect, useLayoutEffect, useState, useSyncExternalStore } from "react";
import type { RunView, ViewSource } from "../state/view.js";

/** The newest view, redrawn on every change. */
export function useView(source: ViewSource): RunView {
  const subscribe = useCallback((listener: () => void) => source.subscribe(listener), [source]);
  return useSyncExternalStore(subscribe, () => source.current());
}

export interface Size {
  columns: number;
  rows: number;
}

/** The terminal's size, followed through resizes. 80x24 where the stream does not know. */
export function useSize(): Size {
  const { stdout } = useStdout();
  const [size, setSize] = useState(() => sizeOf(stdout));
  useLayoutEffect(() => {
    const resized = () => setSize(sizeOf(stdout));
    stdout.on("resize", resized);
    return () => {
      stdout.off("resize", resized);
    };
  }, [stdout]);
  return size;
}

function sizeOf(stdout: NodeJS.WriteStream): Size {
  return { columns: stdout.columns || 80, rows: stdout.rows || 24 };
}

/** Milliseconds since the epoch, once a second while `ticking`. */
export function useNow(clock: () => number, ticking: boolean): number {
  const [now, setNow] = useState(clock);
  useEffect(() => {
    if (!ticking) return;
    const timer = setInterval(() => setNow(clock()), 1000);
    return () => clearInterval(timer);
  }, [clock, ticking]);
  // A new event may be newer than the last tick.
  return Math.max(now, clock());
}

/** The health screen: what it looks at follows the keys, what it shows is `healthFrame`. */
import { Box, Text, useInput, useStdin } from "ink";
import { useCallback, useRef, useState, useSyncExternalStore } from "react";
import type { HealthSource } from "../../state/health-view.js";
import { useSize } from "../hooks.js";
import { Span } from "../parts/Line.js";
import { useTheme } from "../theme.js";
import { AT_FIRST, type HealthLooking, healthFrame, type Row } from "./frame.js";
import { type HealthKey, lookAt } from "./keys.js";

export interface HealthAppProps {
  source: HealthSource;
  /** The operator wants to see it as it is now. */
  onRefresh(): void;
  onLeave(): void;
}

export function HealthApp({ source, onRefresh, onLeave }: HealthAppProps) {
  const subscribe = useCallback((listener: () => void) => source.subscribe(listener), [source]);
  const view = useSyncExternalStore(subscribe, () => source.current());
  const size = useSize();
  // From its full height on Ink clears the whole terminal and its scrollback at every frame.
  const room = { columns: size.columns, rows: Math.max(1, size.rows - 1) };
  // The ref is the truth: several keys may arrive before React draws again.
  const latest = useRef(AT_FIRST);
  const [looking, setLooking] = useState<HealthLooking>(AT_FIRST);
  useInput(
    (input, key) => {
      const pressed = keyOf(input, key);
      if (pressed === "leave") return onLeave();
      if (pressed === "refresh") return onRefresh();
      if (pressed === null) return;
      latest.current = lookAt(latest.current, pressed, source.current(), room);
      setLooking(latest.current);
    },
    { isActive: useStdin().isRawModeSupported },
  );
  const { glyphs } = useTheme();
  const chosen = Math.min(looking.chosen, Math.max(0, view.tables.length - 1));
  const lines = healthFrame(view, { ...looking, chosen }, room, glyphs).map((row, at) => ({ row, at }));
  return (
    <Box flexDirection="column" height={room.rows} width={room.columns} overflow="hidden">
      {lines.map(({ row, at }) => (
        <FrameLine key={at} row={row} />
      ))}
    </Box>
  );
}

function FrameLine({ row }: { row: Row }) {
  const pieces = row.map((piece, at) => ({ ...piece, at }));
  return (
    <Text wrap="truncate-end">
      {pieces.length === 0
        ? " "
        : pieces.map(({ text, tone, at }) => (
            <Span key={at} tone={tone}>
              {text}
            </Span>
          ))}
    </Text>
  );
}

interface InkKey {
  upArrow: boolean;
  downArrow: boolean;
  pageUp: boolean;
  pageDown: boolean;
  return: boolean;
  escape: boolean;
  ctrl: boolean;
}

function keyOf(input: string, key: InkKey): HealthKey | "leave" | "refresh" | null {
  if (input === "q" || (key.ctrl && input === "c")) return "leave";
  if (input === "r") return "refresh";
  if (key.upArrow || input === "k") return "up";
  if (key.downArrow || input === "j") return "down";
  if (key.pageUp) return "page-up";
  if (key.pageDown) return "page-down";
  if (key.return) return "open";
  return key.escape ? "close" : null;
}

/** What a key changes of what is looked at. Pure. */
import type { HealthView } from "../../state/health-view.js";
import { type HealthLooking, treeRoom } from "./frame.js";

export type HealthKey = "up" | "down" | "page-up" | "page-down" | "open" | "close";

/** `size`: what the frame has. */
export function lookAt(
  looking: HealthLooking,
  key: HealthKey,
  { tables }: HealthView,
  size: { columns: number; rows: number },
): HealthLooking {
  const chosen = Math.min(looking.chosen, Math.max(0, tables.length - 1));
  const table = tables[chosen];
  if (table === undefined) return looking;
  if (key === "close" || (key === "open" && looking.open)) return { ...looking, chosen, open: false, top: 0 };
  const room = treeRoom(table, size);
  // One line of the room says where one is, when not all fits.
  const last = table.tree.length <= room ? 0 : table.tree.length - room + 1;
  if (key === "open") {
    const now = table.tree.findIndex((one) => one.kind === "leaf" && one.isNow);
    return { chosen, open: true, top: within(now < 0 ? 0 : now - Math.floor(room / 2), last) };
  }
  const by = { up: -1, down: 1, "page-up": -room, "page-down": room }[key];
  if (looking.open) return { ...looking, chosen, top: within(looking.top + by, last) };
  return { ...looking, chosen: within(chosen + by, tables.length - 1) };
}

function within(n: number, last: number): number {
  return Math.max(0, Math.min(n, last));
}

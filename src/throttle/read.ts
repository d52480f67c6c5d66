/** From the server's answers to readings. Pure. */
import { z } from "zod";
import type { Answers } from "./ask.js";
import type { WalMarks } from "./marks.js";
import type { Reading } from "./types.js";

const Replicas = z.object({
  may: z.boolean(),
  rows: z.array(
    z.object({ name: z.string().nullable(), lag: z.number().nullable(), replayed: z.number().nullable() }),
  ),
});
const Active = z.object({ may: z.boolean(), n: z.number() });
const Xmin = z.object({ may: z.boolean(), rows: z.array(z.object({ age: z.number(), who: z.string() })) });

/** Without it the server answers, and hides what was asked for. */
export const NO_RIGHT = "this role lacks pg_read_all_stats (GRANT pg_monitor TO it)";

type Answer = Answers[keyof Answers];

function read(answer: Answer, work: (text: string) => Reading): Reading {
  if (answer === undefined) return { unreadable: "it was not asked for" };
  return "error" in answer ? { unreadable: answer.error } : work(answer.text);
}

/** The furthest behind of all replicas, ms; none: nothing to measure. */
export function replicaLag(answer: Answer, marks: WalMarks): Reading {
  return read(answer, (text) => {
    const { may, rows } = Replicas.parse(JSON.parse(text));
    if (rows.length === 0) return { value: null };
    if (!may) return { unreadable: NO_RIGHT };
    // Without a replayed position it is no replica: pg_receivewal, or one that has just come.
    const lags = rows.flatMap(({ name, lag, replayed }) => {
      if (replayed === null) return [];
      const behind = marks.behind(replayed);
      // Before we have looked a second time only the server knows.
      const standing = marks.isEmpty ? (lag ?? 0) : 0;
      const value = behind === null ? standing : Math.max(behind, lag ?? 0);
      // replay_lag is no help: it is NULL, or old, while a replay stands still.
      return [{ who: name ?? "", value, ...(marks.isOlder(replayed) ? { isAtLeast: true } : {}) }];
    });
    return lags.reduce<Reading & { value: number | null }>(
      (worst, one) => (worse(one, worst) ? one : worst),
      { value: null },
    );
  });
}

/** What is not known yet may be the worst of all. */
function worse(
  one: { value: number; isAtLeast?: boolean },
  other: { value: number | null; isAtLeast?: boolean },
) {
  if (one.isAtLeast !== other.isAtLeast) return one.isAtLeast === true;
  return one.value > (other.value ?? -1);
}

export function active(answer: Answer): Reading {
  return read(answer, (text) => {
    const { may, n } = Active.parse(JSON.parse(text));
    return may ? { value: n } : { unreadable: NO_RIGHT };
  });
}

export function xminAge(answer: Answer): Reading {
  return read(answer, (text) => {
    const { may, rows } = Xmin.parse(JSON.parse(text));
    if (!may) return { unreadable: NO_RIGHT };
    const [oldest] = rows;
    return oldest === undefined ? { value: null } : { value: oldest.age, who: oldest.who };
  });
}

const Slot = z.object({ percent: z.number().nullable() });

/** WAL kept for the slot, percent of what it may be. */
export function slotWal(answer: Answer): Reading {
  return read(answer, (text) => ({ value: Slot.parse(JSON.parse(text)).percent }));
}

/** A plain number, also with a fraction. */
export function number(answer: Answer): Reading {
  return read(answer, (text) => {
    const value = Number(text);
    return Number.isFinite(value) ? { value } : { unreadable: `the server gives ${text}` };
  });
}

/** What capture and partitions leave of the throughput when writers ask for all the server can do. */
import { withCopy } from "./database.js";
import { rateOf } from "./keyset.js";
import { inFolder, runArgs, typed } from "./partway.js";
import { median, ratio } from "./stats.js";
import type { Shape } from "./table.js";

const CLIENTS = 4;
/** Of the statements by id alone: they show what partitions cost them, and that takes no more. */
const PAIRS_BY_ID = 2;

const STATES = ["none", "capture", "window", "after"] as const;

/**
 * Four databases alike: no migration, one ready for cutover, one in the window, one finalized. No process is at work,
 * so what is measured is the capture (and, after the cutover, the partitions). Written to in turn, `pairs` times.
 */
export async function saturate(
  superuserUrl: string,
  template: string,
  shape: Shape,
  pairs: number,
  seconds: number,
): Promise<Record<string, number>> {
  const copy = <T>(work: (url: string) => Promise<T>) => withCopy(superuserUrl, template, work);
  return copy((none) =>
    copy((capture) =>
      copy((window) =>
        copy(async (after) => {
          await inFolder(capture, (folder) => typed(folder, runArgs(shape, "--until", "validate")));
          await inFolder(window, (folder) => typed(folder, runArgs(shape)));
          await inFolder(after, async (folder) => {
            await typed(folder, runArgs(shape));
            await typed(folder, ["finalize", "--force", "orders", "--json"]);
          });
          const urls = { none, capture, window, after };
          return {
            ...(await inTurn(urls, STATES, { by: "both", pairs, seconds, rows: shape.rows })),
            ...byId(
              await inTurn(urls, STATES, {
                ...{ by: "id", pairs: Math.min(PAIRS_BY_ID, pairs) },
                ...{ seconds, rows: shape.rows },
              }),
            ),
          };
        }),
      ),
    ),
  );
}

export interface Turns {
  by: "both" | "id";
  pairs: number;
  seconds: number;
  rows: number;
  /** After each measurement. */
  settle?(url: string): Promise<void>;
}

/**
 * Writers that send their next at once, by turns at the databases of `urls`, of which `none` has no migration. Gives the
 * middle rate of each, the writers' errors, and as `<state>Kept` the middle share of the rate without a migration.
 */
export async function inTurn<S extends string>(
  urls: Readonly<Record<S | "none", string>>,
  states: readonly (S | "none")[],
  { by, pairs, seconds, rows, settle }: Turns,
): Promise<Record<string, number>> {
  const rounds: Map<string, number>[] = [];
  let errors = 0;
  for (let pair = 0; pair < pairs; pair++) {
    const round = new Map<string, number>();
    for (const state of rotated(states, pair)) {
      const rate = await rateOf({ url: urls[state], perSecond: null, clients: CLIENTS, rows, by }, seconds);
      round.set(state, rate.perSecond);
      errors += rate.errors;
      await settle?.(urls[state]);
    }
    rounds.push(round);
  }
  const middle = (of: (one: Map<string, number>) => number | null): number =>
    median(rounds.map(of).filter((value) => value !== null)) ?? 0;
  const values = states.flatMap((state) => [
    [state, middle((round) => round.get(state) ?? 0)],
    [`${state}Kept`, middle((round) => ratio(round.get(state) ?? 0, round.get("none") ?? 0))],
  ]);
  return { ...Object.fromEntries(values), errors };
}

/** Each turn begins with another one: what the one before leaves to the next (dirty pages, WAL) is shared evenly. */
export const rotated = <T>(all: readonly T[], turn: number): T[] => {
  const at = turn % all.length;
  return [...all.slice(at), ...all.slice(0, at)];
};

const byId = (values: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [`id.${name}`, value]));

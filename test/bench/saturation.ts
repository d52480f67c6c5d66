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
type State = (typeof STATES)[number];
type Rates = Record<State, number>;

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
            ...(await inTurn(urls, "both", pairs, seconds, shape.rows)),
            ...byId(await inTurn(urls, "id", Math.min(PAIRS_BY_ID, pairs), seconds, shape.rows)),
          };
        }),
      ),
    ),
  );
}

/** The middle rate of each state, the writers' errors, and as `<state>Kept` the middle share of the rate without a migration. */
async function inTurn(
  urls: Record<State, string>,
  by: "both" | "id",
  pairs: number,
  seconds: number,
  rows: number,
): Promise<Record<string, number>> {
  const rounds: Rates[] = [];
  let errors = 0;
  for (let pair = 0; pair < pairs; pair++) {
    const round: Rates = { none: 0, capture: 0, window: 0, after: 0 };
    for (const state of rotated(STATES, pair)) {
      const rate = await rateOf({ url: urls[state], perSecond: null, clients: CLIENTS, rows, by }, seconds);
      round[state] = rate.perSecond;
      errors += rate.errors;
    }
    rounds.push(round);
  }
  const middle = (of: (one: Rates) => number | null): number =>
    median(rounds.map(of).filter((value) => value !== null)) ?? 0;
  const values = STATES.flatMap((state) => [
    [state, middle((round) => round[state])],
    [`${state}Kept`, middle((round) => ratio(round[state], round.none))],
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

/** What the clients mostly do: the ordinary mix, with something done more often. */
import { OPERATIONS, type OperationName } from "./operations.js";

export type Isolation = "READ COMMITTED" | "REPEATABLE READ" | "SERIALIZABLE";

export interface Mix {
  name: string;
  /** How many times as often as in the ordinary mix; 0: never. */
  more: Partial<Record<OperationName, number>>;
  isolation: readonly (readonly [Isolation, number])[];
  /** Share of new rows with a value of 20 kB. */
  longShare: number;
  /** Share of transactions that stay open for up to `longMs`. */
  longTransactions: number;
}

/** A thousand rows weigh as much as hundreds of other statements: outside the mixes meant for them they are rare. */
const RARE = { insertBulk: 0.3, updateBulk: 0.3, removeBulk: 0.3, changePartitionBulk: 0.3, copyIn: 0.3 };
const PLAIN: Omit<Mix, "name"> = {
  more: RARE,
  isolation: [
    ["READ COMMITTED", 90],
    ["REPEATABLE READ", 5],
    ["SERIALIZABLE", 5],
  ],
  longShare: 0.005,
  longTransactions: 0.005,
};
const BULK = { insertBulk: 5, updateBulk: 5, removeBulk: 5, changePartitionBulk: 5 };

export const MIXES: readonly Mix[] = [
  { ...PLAIN, name: "all" },
  { ...PLAIN, name: "bulk", more: BULK },
  { ...PLAIN, name: "copy", more: { ...RARE, copyIn: 10, removeBulk: 4 } },
  {
    ...PLAIN,
    name: "keys",
    more: {
      ...RARE,
      changeKey: 6,
      removeAndReinsert: 4,
      removeAndReinsertElsewhere: 4,
      reinsert: 4,
      changePartition: 4,
    },
  },
  {
    ...PLAIN,
    name: "serializable",
    isolation: [
      ["READ COMMITTED", 20],
      ["REPEATABLE READ", 40],
      ["SERIALIZABLE", 40],
    ],
  },
  { ...PLAIN, name: "toast", longShare: 0.1, more: { ...RARE, updateLong: 5 } },
  { ...PLAIN, name: "long", longTransactions: 0.05 },
];

export function mixOf(name: string): Mix {
  const mix = MIXES.find((one) => one.name === name);
  if (mix === undefined) throw new Error(`no mix is called ${name}`);
  return mix;
}

/** The operations of a mix with their weights. */
export function weighted(mix: Mix) {
  const names = Object.keys(OPERATIONS) as OperationName[];
  return names.map((name) => {
    const [operation, weight] = OPERATIONS[name];
    return [operation, weight * (mix.more[name] ?? 1)] as const;
  });
}

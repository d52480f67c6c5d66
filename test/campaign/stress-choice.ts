/** What one round of the stress campaign is: every choice follows from its seed, those asked for excepted. */
import { Random } from "../../src/demo/random.js";
import { MIXES } from "../support/writers/mix.js";
import { fits, SCHEME_NAMES, SHAPE_NAMES, SHAPES, type ShapeName } from "../support/writers/shapes.js";

export const ENDINGS = ["rollback", "finalize", "abort"] as const;
export type Ending = (typeof ENDINGS)[number];

export interface Choice {
  seed: number;
  shape: ShapeName;
  scheme: string;
  mix: string;
  /** One migration after the other on the same table; only the last may be finalized. */
  endings: readonly Ending[];
  /** Forced restarts of a migration, at most. */
  kills: number;
  /** TRUNCATEs, of the table before cutover and of table or leaf after it, at most of each. */
  truncates: number;
  /** How often the application's connections are cut; not where a truncation could be cut too. */
  cuts: number;
  rows: number;
  maxRows: number;
  bulk: number;
  clients: number;
  workers: number;
  fillfactor: number;
  /** The partition column may be NULL by its definition. */
  nullable: boolean;
  backup: boolean;
  capture: "trigger" | "wal";
}

/** The round of this seed; `asked` overrides what it would choose. */
export function choose(seed: number, asked: Partial<Choice> = {}): Choice {
  const random = new Random(seed);
  const one = <T>(items: readonly [T, ...T[]] | readonly T[], otherwise: T): T =>
    items[random.below(items.length)] ?? otherwise;
  const shape = asked.shape ?? one(SHAPE_NAMES, "int");
  const schemes = SCHEME_NAMES.filter((name) => fits(name, SHAPES[shape]));
  const last = one(ENDINGS, "finalize");
  const again = random.chance(0.25);
  const truncates = random.chance(0.3) ? 1 : 0;
  return {
    seed,
    shape,
    scheme: one(schemes, "hash"),
    mix: one(
      MIXES.map(({ name }) => name),
      "all",
    ),
    endings: again
      ? [random.chance(0.5) ? "rollback" : "abort", random.chance(0.5) ? "finalize" : "abort"]
      : [last],
    kills: random.below(5),
    truncates,
    cuts: truncates > 0 ? 0 : random.below(3),
    rows: 1_500 + random.below(8_000),
    maxRows: 15_000,
    bulk: 1_000,
    clients: 2 + random.below(3),
    workers: 1 + random.below(4),
    fillfactor: one([60, 70, 90, 100], 100),
    nullable: random.chance(0.3),
    backup: random.chance(0.15),
    capture: "trigger",
    ...asked,
  };
}

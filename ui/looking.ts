/** What the operator looks at: keys that change only the screen. Pure. */

export interface Looking {
  /** The messages get the whole lower part. */
  tall: boolean;
  /** The piece whose details are shown; null: none. */
  piece: number | null;
}

export const AT_EASE: Looking = { tall: false, piece: null };

export interface Glance {
  input: string;
  left: boolean;
  right: boolean;
  up: boolean;
  down: boolean;
  escape: boolean;
}

/** `pieces` of them, `each` in a cell, `across` cells in a line of the grid. */
export interface Shape {
  pieces: number;
  each: number;
  across: number;
}

/** What is looked at after a key. */
export function look(looking: Looking, key: Glance, shape: Shape): Looking {
  if (key.input === "l") return { ...looking, tall: !looking.tall };
  if (key.escape) return { ...looking, piece: null };
  const step = stepOf(key, shape);
  if (step === 0 || shape.pieces === 0) return looking;
  if (looking.piece === null) return { ...looking, piece: 0 };
  const to = looking.piece + step;
  return to < 0 || to >= shape.pieces ? looking : { ...looking, piece: to };
}

function stepOf({ left, right, up, down }: Glance, { each, across }: Shape): number {
  if (left || right) return right ? each : -each;
  if (up || down) return down ? each * across : -each * across;
  return 0;
}

/** A comparison as the operator sees it: leaf by leaf, and how much of both sides has been read. */
import { performance } from "node:perf_hooks";
import type { CompareWatch, Comparison } from "../sync/compare.js";
import type { LeafRow } from "../sync/leaves.js";
import { tellLeaves } from "../sync/tell-leaves.js";
import type { PhaseContext } from "./phase.js";
import { PieceMap } from "./piece-map.js";

/** Two reports a second at most. */
const EVERY_MS = 500;

export class CompareProgress implements CompareWatch {
  readonly #context: Pick<PhaseContext, "plan" | "emit">;
  #leaves: LeafRow[] = [];
  #map: PieceMap | null = null;
  #started = performance.now();
  #reportedAt = 0;
  #counts = { done: 0, total: 0, rows: 0 };

  constructor(context: Pick<PhaseContext, "plan" | "emit">) {
    this.#context = context;
  }

  begins(leaves: LeafRow[], pieces: number): void {
    this.#leaves = leaves;
    const whole = leaves.map(() => 1);
    this.#map = new PieceMap(this.#context, { phase: "validate", of: "leaves" }, whole);
    this.#started = performance.now();
    this.#counts = { done: 0, total: pieces, rows: 0 };
    tellLeaves(this.#context, leaves);
    this.#report();
  }

  reads(pid: number, leaf: number | null): void {
    this.#map?.begin(
      pid,
      leaf,
      leaf === null ? "part of the unpartitioned table" : (this.#leaves[leaf]?.name ?? ""),
    );
  }

  read(pid: number, leaf: number | null, rows: number): void {
    this.#map?.end(pid, leaf);
    this.#counts.done += 1;
    this.#counts.rows += rows;
    const last = this.#counts.done === this.#counts.total;
    if (last || performance.now() - this.#reportedAt >= EVERY_MS) this.#report();
  }

  /** The rows of each leaf are known now. */
  done(comparison: Comparison): void {
    tellLeaves(this.#context, this.#leaves, comparison.leaves);
  }

  /** These leaves differ. */
  different(leaves: readonly LeafRow[]): void {
    const oids = new Set(leaves.map((leaf) => leaf.oid));
    for (const [at, leaf] of this.#leaves.entries()) if (oids.has(leaf.oid)) this.#map?.differs(at);
    this.#map?.tell();
  }

  #report(): void {
    const { done, total, rows } = this.#counts;
    this.#reportedAt = performance.now();
    const seconds = (this.#reportedAt - this.#started) / 1000;
    const known = done >= 2 && seconds >= 1;
    const secondsLeft = done === total ? 0 : known ? ((total - done) * seconds) / done : null;
    this.#context.emit({ event: "comparing", done, total, rows, secondsLeft });
  }
}

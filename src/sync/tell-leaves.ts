/** Names the partitions to whoever looks on, with the rows known of each. */
import type { RunEventBody } from "../../state/events.js";
import type { Plan } from "../plan/types.js";
import type { Sum } from "./compare.js";
import type { LeafRow } from "./leaves.js";

/** `exact`: rows compared, by leaf OID; else the plan's estimates are told. */
export function tellLeaves(
  context: { plan: Plan; emit(event: RunEventBody): void },
  leaves: readonly LeafRow[],
  exact: ReadonlyMap<string, Sum> | null = null,
): void {
  const estimates = new Map(context.plan.leaves.map((leaf) => [leaf.name, leaf.estimatedRows]));
  context.emit({
    event: "leaves",
    leaves: leaves.map((leaf) => {
      const known = exact?.get(leaf.oid);
      return {
        name: leaf.name,
        bounds: leaf.bound,
        rows: known?.rows ?? estimates.get(leaf.name) ?? null,
        exact: known !== undefined,
      };
    }),
  });
}

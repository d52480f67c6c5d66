/** Taking over a partitioned table: what its bounds say about it, and the policy that follows. */
import { coldLeavesOf } from "../cold/store.js";
import { mergeOptions } from "../config/request.js";
import type { PartitionPolicy } from "../config/schema.js";
import type { Session } from "../pg/session.js";
import { gapsOf, limitsOf, recogniseTable } from "./decide.js";
import { textOf } from "./grid.js";
import { intervalText } from "./health.js";
import { policyOf } from "./policy.js";
import { makeCareStore, type StoredPolicy, writePolicy } from "./store.js";
import { type CareTable, shownName } from "./table.js";

export interface AdoptReport {
  table: string;
  strategy: CareTable["strategy"];
  column: string | null;
  /** What the bounds stand on; null: nothing that Partway can cut on. */
  recognised: string | null;
  leaves: number;
  hasDefault: boolean;
  /** Leaves that are not one whole interval. */
  odd: { name: string; bound: string }[];
  /** What maintenance cannot do for it. */
  limits: string[];
  gaps: { from: string; to: string }[];
  /** As it stands in partway.partition_config from now on. */
  policy: PartitionPolicy;
  stored: boolean;
}

/** `given` goes over what the row says already; `write: false` only looks. Errors: bad-input naming the key. */
export async function adoptTable(
  session: Session,
  table: CareTable,
  before: StoredPolicy | null,
  given: PartitionPolicy,
  write: boolean,
): Promise<AdoptReport> {
  const { grid, odd } = recogniseTable(table);
  const wanted = forget(mergeOptions<PartitionPolicy>(before?.policy ?? {}, given), given);
  const whole = policyOf(shownName(table), wanted, table.axis, grid);
  const cut = whole.grid;
  const policy: PartitionPolicy = {
    ...(cut === null ? {} : cut.kind === "time" ? { every: cut.every } : { step: String(cut.step) }),
    ...(cut === null ? {} : { leaf: whole.leaf, ahead: whole.ahead }),
    ...(whole.retentionText === null ? {} : { retention: whole.retentionText }),
    expired: whole.expired,
    ...(whole.archive === null ? {} : { archive: whole.archive }),
    thresholds: wanted.thresholds ?? {},
    enabled: whole.enabled,
  };
  if (write) {
    await makeCareStore(session);
    await writePolicy(session, table.oid, policy);
  }
  const { axis } = table;
  const cold = (await coldLeavesOf(session, table.oid)).map(({ bound }) => bound);
  return {
    table: shownName(table),
    strategy: table.strategy,
    column: table.column,
    recognised: intervalText({ ...whole, grid }),
    leaves: table.leaves.length,
    hasDefault: table.leaves.some(({ bound }) => bound.kind === "default"),
    odd: odd.map(({ name, boundText }) => ({ name, bound: boundText })),
    limits: limitsOf(table, whole).map(({ what }) => what),
    gaps:
      axis === null
        ? []
        : gapsOf(table, cold).map(({ from, to }) => ({ from: textOf(axis, from), to: textOf(axis, to) })),
    policy,
    stored: write,
  };
}

/** `none` takes a retention back; an interval given anew takes the old one's place, and that of its names and `ahead`. */
function forget(policy: PartitionPolicy, given: PartitionPolicy): PartitionPolicy {
  const { retention, every, step, leaf, ahead, ...rest } = policy;
  const isNew = given.every !== undefined || given.step !== undefined;
  const [name, count] = isNew ? [given.leaf, given.ahead] : [leaf, ahead];
  return {
    ...rest,
    ...(name === undefined ? {} : { leaf: name }),
    ...(count === undefined ? {} : { ahead: count }),
    ...(retention === undefined || retention === "none" ? {} : { retention }),
    ...(every === undefined || given.step !== undefined ? {} : { every }),
    ...(step === undefined || given.every !== undefined ? {} : { step }),
  };
}

/** What plans mean: a statement that is judged fine and is not, is found at the cutover; one that is fine must not hold it up. */
import { describe, expect, test } from "vitest";
import type { Planned } from "../../src/rehearse/bench.js";
import { type Evidence, judge } from "../../src/rehearse/judge.js";
import { type PlanFacts, planFacts } from "../../src/rehearse/planfacts.js";

const facts = (cost: number, scanned: string[], indexes: string[] = []): PlanFacts => ({
  ...{ cost, scanned, indexes, removed: [] },
  ...{ executedMs: null, blocks: null },
});
const ok = (custom: PlanFacts, prepared = custom): Planned => ({
  ok: true,
  custom,
  prepared,
  measured: null,
});
const no = (state: string, why: string): Planned => ({ ok: false, state, why });

const LEAVES = Array.from({ length: 12 }, (_, i) => `public.leaf_${i}`);
const SOURCE = "public.orders";

function evidence(
  before: Planned | null,
  after: Planned | null,
  shape: Partial<Evidence["shape"]> = {},
): Evidence {
  return {
    ...{ before, after, source: SOURCE, leaves: LEAVES, table: '"public"."orders"' },
    indexNames: new Map(LEAVES.map((_, i) => [`leaf_${i}_pkey`, "orders_pkey"])),
    ...{ partitionColumn: "created_at", isHash: false, key: ["id"], keyIndex: "orders_pkey", worse: 5 },
    shape: {
      ...{ kind: "select", isReadOnly: true, only: false, copyTo: false, conflict: null },
      ...{ returnsSystem: [], wholeRow: [], params: [], partition: "absent" },
      ...shape,
    },
  };
}

const atSource = facts(8, [SOURCE], ["orders_pkey"]);
const lookup = ok(atSource);

describe("a statement that gets much worse holds up the cutover", () => {
  test("by its cost, with the condition that is missing", () => {
    const judged = judge(evidence(lookup, ok(facts(96, LEAVES, ["leaf_1_pkey"]))));
    expect(judged).toMatchObject({
      verdict: "worse",
      leaves: { scanned: 12, total: 12 },
      cost: { before: 8, after: 96, ratio: 12 },
      indexes: { before: ["orders_pkey"], lost: [] },
    });
    expect(judged.advice.join()).toContain("There is no condition on created_at");
    const hash = judge({ ...evidence(lookup, ok(facts(96, LEAVES))), isHash: true });
    expect(hash.advice.join()).toContain("AND created_at = ...");
  });

  test("by reading every leaf where an index was enough, and the index that is gone", () => {
    const judged = judge(evidence(lookup, ok(facts(20, LEAVES))));
    expect(judged.verdict).toBe("worse");
    expect(judged.reasons.join()).toContain("it reads all 12 leaves where orders_pkey was enough");
    expect(judged.reasons.join()).toContain("no leaf's plan uses orders_pkey");
  });

  test("not the newest rows with a LIMIT, nor one leaf, nor costs below one page, nor what read all before", () => {
    const fine = [
      [lookup, ok(facts(9, LEAVES))],
      [lookup, ok(facts(8, LEAVES.slice(0, 1)))],
      [ok(facts(0.6, [SOURCE], ["i"])), ok(facts(3.9, LEAVES))],
      [ok(facts(900, [SOURCE])), ok(facts(1800, LEAVES))],
    ] as const;
    for (const [before, after] of fine) expect(judge(evidence(before, after)).verdict).toBe("fine");
  });

  test("not leaves that --analyze saw left out by a nested loop, unless the time is worse too", () => {
    const run = (ms: number, scanned: string[]) => ({ ...facts(96, scanned), executedMs: ms });
    const after = (ms: number, scanned: string[]): Planned => ({
      ...{ ok: true, custom: facts(96, LEAVES), prepared: facts(96, LEAVES) },
      measured: run(ms, scanned),
    });
    const before: Planned = {
      ...{ ok: true, custom: atSource, prepared: atSource },
      measured: run(2, [SOURCE]),
    };
    const verdict = (ms: number, scanned: string[]) => judge(evidence(before, after(ms, scanned))).verdict;
    expect(verdict(3, LEAVES.slice(0, 1))).toBe("fine");
    expect(verdict(30, LEAVES.slice(0, 1))).toBe("worse");
    expect(verdict(3, LEAVES)).toBe("worse");
  });

  test("the threshold is the operator's", () => {
    const six = evidence(lookup, ok(facts(48, LEAVES.slice(0, 6))));
    expect(judge(six).verdict).toBe("worse");
    expect(judge({ ...six, worse: 7 }).verdict).toBe("fine");
  });
});

describe("a statement that breaks holds up the cutover", () => {
  test("ON CONFLICT on the old key, with the target to write", () => {
    const conflict = { on: "columns" as const, columns: ["id"] };
    const judged = judge(evidence(ok(facts(0, [])), no("42P10", "no unique constraint"), { conflict }));
    expect(judged.verdict).toBe("breaks");
    expect(judged.advice.join()).toContain("ON CONFLICT (id, created_at)");
    expect(judge(evidence(ok(facts(0, [])), ok(facts(0, [])), { conflict })).verdict).toBe("fine");
  });

  test("ON CONFLICT that silently means something else, unless the key holds the partition column", () => {
    for (const conflict of [
      { on: "anything" as const },
      { on: "constraint" as const, name: "orders_pkey" },
    ]) {
      const both = evidence(ok(facts(0, [])), ok(facts(0, [])), { kind: "insert", conflict });
      expect(judge(both).reasons.join()).toContain("another meaning");
      expect(judge({ ...both, key: ["id", "created_at"] }).verdict).toBe("fine");
    }
  });

  test("what the planner takes and the executor does not", () => {
    for (const shape of [
      { kind: "insert" as const, returnsSystem: ["xmax"] },
      { only: true },
      { wholeRow: ["o"] },
    ])
      expect(judge(evidence(lookup, lookup, shape)).verdict).toBe("breaks");
    expect(judge(evidence(null, null, { kind: "copy", copyTo: true })).verdict).toBe("breaks");
    expect(judge(evidence(null, null, { kind: "copy" })).verdict).toBe("fine");
  });

  test("whatever else plans on the source alone; but a lock or our own alias proves nothing", () => {
    const judged = (state: string) => judge(evidence(lookup, no(state, "so the server says")));
    expect(judged("42883")).toMatchObject({
      verdict: "breaks",
      reasons: ["on the new table: so the server says"],
    });
    for (const state of ["55P03", "57014", "42712"]) expect(judged(state).verdict).toBe("unknown");
  });

  test("what is written for the new table already is fine, and said to work from the cutover on", () => {
    const judged = judge(evidence(no("42P10", "no unique constraint"), ok(facts(0, []))));
    expect(judged.verdict).toBe("fine");
    expect(judged.reasons.join()).toContain("from the cutover on only");
    // A lock on the source says nothing of the statement.
    expect(judge(evidence(no("55P03", "lock timeout"), ok(facts(0, [])))).verdict).toBe("unknown");
  });

  test("what does not plan on the source either is no finding", () => {
    expect(judge(evidence(no("42703", "no such column"), null)).verdict).toBe("unknown");
  });
});

describe("reading a plan", () => {
  const read = (plan: object) => planFacts(JSON.stringify([{ Plan: plan }]));
  const leaf = (n: number, cost: number, more: object = {}) => ({
    ...{ "Node Type": "Index Scan", Schema: "public", "Relation Name": `leaf_${n}`, "Index Name": `i_${n}` },
    ...{ "Total Cost": cost, ...more },
  });

  test("leaves that are left out when the execution begins cost nothing", () => {
    const append = { "Node Type": "Append", "Total Cost": 96, "Subplans Removed": 11, Plans: [leaf(3, 8)] };
    const removed = [{ count: 11, scanned: ["public.leaf_3"] }];
    expect(read(append)).toEqual({ ...facts(8, ["public.leaf_3"], ["i_3"]), removed });
    // Above it a LIMIT had counted a tenth of it.
    const limit = read({ "Node Type": "Limit", "Total Cost": 9.6, Plans: [append] });
    expect(limit.cost).toBeCloseTo(0.8);
  });

  test("the target of a change is not scanned, nor what ANALYZE says was never executed", () => {
    const modify = {
      "Node Type": "ModifyTable",
      "Relation Name": "orders",
      Schema: "public",
      "Total Cost": 9,
    };
    expect(read({ ...modify, Plans: [leaf(1, 8)] }).scanned).toEqual(["public.leaf_1"]);
    const plans = [leaf(1, 8, { "Actual Loops": 1 }), leaf(2, 8, { "Actual Loops": 0 })];
    const analysed = read({ "Node Type": "Append", "Total Cost": 16, Plans: plans });
    expect(analysed.scanned).toEqual(["public.leaf_1"]);
  });
});

/**
 * What an operator would lose: the only copy of a leaf, sent to another server. It must be the very rows, be proven before
 * the leaf goes, be in sight all the time, and come back.
 */
import { afterEach, describe, expect, test, vi } from "vitest";
import { coldLeaves, cool, warm } from "../../src/cold.js";
import { type ColdScene, NEW, OLD, openColdScene } from "./scene.js";

let scene: ColdScene;
const open = async (options: { unique: boolean; bare?: boolean }) => {
  scene = await openColdScene(options);
  return scene;
};
afterEach(async () => {
  vi.restoreAllMocks();
  await scene.drop();
});

describe.each([
  {
    unique: true,
    how: "beside",
    through: "public.orders_with_cold",
    cold: [`f ${OLD}`, `r ${NEW} *`, "p orders", "v orders_with_cold"],
  },
  {
    unique: false,
    how: "attached",
    through: "public.orders",
    cold: [`f ${OLD} *`, `r ${NEW} *`, "p orders"],
  },
])("a leaf that goes $how", ({ unique, how, through, cold }) => {
  test("would not be the same rows there, in sight here, and back again", async () => {
    const { to, session, far, values, tables, texts } = await open({ unique });
    const [before, were] = [await values("public.orders"), await tables()];
    expect(before).toHaveLength(2000);
    expect(await cool({ ...to, leaves: [OLD] })).toMatchObject({ how, leaves: [{ fate: "would-cool" }] });
    expect(await tables()).toEqual(were);
    expect(await tables(far)).toEqual([]);

    const report = await cool({ ...to, leaves: [OLD], apply: true });
    expect(report).toMatchObject({ how, leaves: [{ fate: "cooled", rows: 2000 }] });
    expect((await tables()).toSorted()).toEqual(cold.toSorted());
    expect(await values(through)).toEqual(before);
    expect(await values(`public.${OLD}`, far)).toEqual(before);
    const indexes = `SELECT indexdef AS text FROM pg_indexes WHERE tablename = '${OLD}'`;
    expect(await texts(indexes, far)).toHaveLength(unique ? 2 : 1);
    const plan = async (where: string) =>
      (await session.query(`EXPLAIN (VERBOSE) SELECT count(*) FROM ${through} WHERE ${where}`)).rows
        .map((row) => row["QUERY PLAN"])
        .join("\n");
    expect(await plan("at >= '2024-02-01'")).not.toMatch(/Foreign Scan/);
    const old = await plan("at < '2024-01-05'");
    expect(old).toMatch(/Foreign Scan/);
    expect(old).toMatch(/Remote SQL: .*2024-01-05/);
    expect(old).not.toMatch(NEW);
    expect(await coldLeaves(to)).toMatchObject([{ leaf: OLD, state: "cold", how, rows: 2000 }]);

    expect(await warm({ ...to, leaves: [OLD] })).toMatchObject({ leaves: [{ fate: "would-warm" }] });
    const back = await warm({ ...to, leaves: [OLD], apply: true });
    expect(back).toMatchObject({ leaves: [{ fate: "warmed", rows: 2000, hash: report.leaves[0]?.hash }] });
    expect(await values("public.orders")).toEqual(before);
    expect(await values(through)).toEqual(before);
    expect((await tables()).filter((name) => !name.startsWith("v"))).toEqual(were);
    expect(await tables(far)).toEqual([`r ${OLD}`]);
    expect(await texts(`SELECT indexdef AS text FROM pg_indexes WHERE tablename = '${OLD}'`)).toHaveLength(
      unique ? 2 : 1,
    );
    await warm({ ...to, leaves: [OLD], dropCold: true, apply: true });
    expect(await tables(far)).toEqual([]);
    expect(await coldLeaves(to)).toMatchObject([{ state: "warm", isDropped: true }]);
  });
});

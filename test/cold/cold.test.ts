/**
 * What an operator would lose: the only copy of a leaf, sent to another server. It must be the very rows, be proven before
 * the leaf goes, be in sight all the time, and come back.
 */
import { afterEach, describe, expect, test, vi } from "vitest";
import { adopt, health, maintain, partitions } from "../../src/care.js";
import { COLD_SQL } from "../../src/cold/store.js";
import { coldLeaves, cool, warm } from "../../src/cold.js";
import { PartwayError } from "../../src/errors.js";
import { Session } from "../../src/pg/session.js";
import { asAdmin, targetOf } from "../support/database.js";
import { after, type ColdScene, NEW, OLD, openColdScene } from "./scene.js";

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

test("inserts into other leaves would stop, or a reader miss the rows, while a leaf goes and comes", async () => {
  const { to, hot, texts } = await open({ unique: true });
  for (const leaf of [NEW]) await cool({ ...to, leaves: [leaf], apply: true });
  const [reader, writer] = [await hot.session(), await hot.session()];
  const old = "at < '2024-02-01'";
  let running = true;
  const seen = new Set<string>();
  let reads = 0;
  const reading = (async () => {
    while (running) {
      for (const text of await texts(
        `SELECT count(*)::text AS text FROM public.orders_with_cold WHERE ${old}`,
        reader,
      ))
        seen.add(text);
      reads += 1;
    }
  })();
  let written = 0;
  await writer.query(
    "CREATE TABLE public.orders_2024_03 PARTITION OF public.orders FOR VALUES FROM ('2024-03-01') TO ('2024-04-01')",
  );
  const writing = (async () => {
    while (running) {
      await writer.query("INSERT INTO public.orders (at, amount) VALUES ('2024-03-02', 2)");
      written += 1;
    }
  })();
  try {
    await cool({ ...to, leaves: [OLD], apply: true });
    await warm({ ...to, leaves: [OLD], apply: true });
  } finally {
    running = false;
    await Promise.all([reading, writing]);
  }
  expect(seen).toEqual(new Set(["2000"]));
  expect(reads).toBeGreaterThan(10);
  expect(written).toBeGreaterThan(10);
  expect(await texts("SELECT count(*)::text AS text FROM public.orders WHERE at >= '2024-03-01'")).toEqual([
    String(written),
  ]);
});

test("a reader of the table itself would miss the rows of a leaf that is exchanged, or see them twice", async () => {
  const { to, hot, texts } = await open({ unique: false });
  const reader = await hot.session();
  let running = true;
  const seen = new Set<string>();
  const reading = (async () => {
    while (running)
      for (const text of await texts("SELECT count(*)::text AS text FROM public.orders", reader))
        seen.add(text);
  })();
  try {
    await cool({ ...to, leaves: [OLD], apply: true });
    await warm({ ...to, leaves: [OLD], apply: true });
  } finally {
    running = false;
    await reading;
  }
  expect(seen).toEqual(new Set(["2001"]));
});

/** Resolves when a statement of `who` waits for a lock. */
async function waits(who: Session, watcher: Session): Promise<void> {
  const sql = `SELECT count(*)::text AS text FROM pg_locks WHERE NOT granted AND pid = ${who.pid}`;
  await expect.poll(() => scene.texts(sql, watcher), { timeout: 4000, interval: 10 }).toEqual(["1"]);
}

test("who has come to the view in the middle of an exchange would read by its old definition, and miss the rows", async () => {
  const { to, hot, texts } = await open({ unique: true });
  await cool({ ...to, leaves: [NEW], apply: true });
  const [reader, watcher] = [await hot.session(), await hot.session()];
  const reads: Promise<string[]>[] = [];
  after(
    (sql) => /^LOCK TABLE ONLY .* ACCESS EXCLUSIVE/.test(sql),
    async () => {
      const count = "SELECT count(*)::text AS text FROM public.orders_with_cold WHERE at < '2024-02-01'";
      reads.push(texts(count, reader));
      await waits(reader, watcher);
    },
  );
  await cool({ ...to, leaves: [OLD], apply: true });
  expect(await Promise.all(reads)).toEqual([["2000"]]);
});

test("a writer who waits for the leaf while it is compared would be ended by the server for our sake", async () => {
  const { to, hot, values, texts } = await open({ unique: true });
  const [writer, watcher] = [await hot.session(), await hot.session()];
  const writes: Promise<unknown>[] = [];
  // The first one is that of the copy, over there.
  let locks = 0;
  after(
    (sql) => /^LOCK TABLE .* SHARE ROW EXCLUSIVE/.test(sql) && ++locks === 2,
    async () => {
      writes.push(writer.query("UPDATE public.orders SET note = 'late' WHERE id = 5"));
      await waits(writer, watcher);
    },
  );
  await expect(cool({ ...to, leaves: [OLD], apply: true })).rejects.toMatchObject({ kind: "difference" });
  await Promise.all(writes);
  expect(await values("public.orders")).toHaveLength(2000);
  expect(await texts("SELECT note AS text FROM public.orders WHERE id = 5")).toEqual(["late"]);
});

test.each([true, false])(
  "a row written while its leaf is copied would be lost (unique index: %s)",
  async (unique) => {
    const { to, session, values, tables, far } = await open({ unique });
    const were = await tables();
    after(
      (sql) => sql === COLD_SQL.verified,
      () => session.query("UPDATE public.orders SET note = 'late' WHERE id = 5"),
    );
    await expect(cool({ ...to, leaves: [OLD], apply: true })).rejects.toMatchObject({
      kind: "difference",
      message: expect.stringMatching(/written into/),
    });
    expect((await tables()).filter((name) => !name.endsWith("_cold"))).toEqual(were);
    // The same command again copies it anew.
    const now = await values("public.orders");
    await cool({ ...to, leaves: [OLD], apply: true });
    expect(await values(`public.${OLD}`, far)).toEqual(now);
    expect((await tables()).filter((name) => name.endsWith(`${OLD}_cold`))).toEqual([]);
  },
);

test("a copy that was proven when the lock could not be had would be made anew, or not be read again", async () => {
  const { to, hot, far, values } = await open({ unique: true });
  const before = await values("public.orders");
  const other = await hot.session();
  await other.query("BEGIN");
  await other.query("SELECT FROM public.orders LIMIT 1");
  const busy = { lockTimeout: "10ms", lockTimeoutMax: "10ms", lockTries: "2" };
  const first = await cool({ ...to, ...busy, leaves: [OLD], apply: true }).catch((error: unknown) => error);
  expect(first).toMatchObject({ kind: "lock-busy" });
  await other.query("ROLLBACK");
  expect(await values("public.orders")).toEqual(before);
  const made = vi.spyOn(Session.prototype, "copyIn");
  await cool({ ...to, leaves: [OLD], apply: true });
  expect(made).not.toHaveBeenCalled();
  expect(await values("public.orders_with_cold")).toEqual(before);
  expect(await values(`public.${OLD}`, far)).toEqual(before);
});

test("a copy that was changed before it is proven would take the leaf's place", async () => {
  const { to, far, values, tables } = await open({ unique: true });
  const [before, were] = [await values("public.orders"), await tables()];
  after(
    (sql) => sql.startsWith("CREATE FOREIGN TABLE"),
    () => far.query(`UPDATE public.${OLD} SET note = 'tampered' WHERE id = 7`),
  );
  await expect(cool({ ...to, leaves: [OLD], apply: true })).rejects.toMatchObject({
    kind: "difference",
    exitCode: 4,
  });
  expect(await values("public.orders")).toEqual(before);
  expect((await tables()).filter((name) => name !== `f ${OLD}_cold`)).toEqual(were);
});

test("rows that were changed in the cold would come back unnoticed", async () => {
  const { to, far, values, tables } = await open({ unique: true });
  await cool({ ...to, leaves: [OLD], apply: true });
  const were = await tables();
  await far.query(`UPDATE public.${OLD} SET note = 'tampered' WHERE id = 7`);
  const there = await values(`public.${OLD}`, far);
  await expect(warm({ ...to, leaves: [OLD], apply: true, dropCold: true })).rejects.toMatchObject({
    kind: "difference",
    next: expect.stringMatching(/--accept-changes/),
  });
  expect(await tables()).toEqual(were);
  await warm({ ...to, leaves: [OLD], apply: true, acceptChanges: true });
  expect(await values("public.orders")).toEqual(there);
});

test("a cold leaf would be a gap, and one that came back would be gone the next night", async () => {
  const { to, session, texts } = await open({ unique: true });
  await session.query(
    "CREATE TABLE public.orders_2023_12 PARTITION OF public.orders FOR VALUES FROM ('2023-12-01') TO ('2024-01-01')",
  );
  const url = to.url;
  await adopt({ url, tables: ["public.orders"], policy: { retention: "2w", expired: "drop", ahead: 0 } });
  await cool({ ...to, leaves: [OLD], apply: true });
  expect(await adopt({ url, tables: ["public.orders"], policy: {} })).toMatchObject([{ gaps: [] }]);
  const now = "2024-02-20 00:00:00";
  const [report] = await health({ url, now });
  expect(report?.findings.map(({ code }) => code)).toEqual(["expired"]);
  expect((await partitions({ url, table: "orders" })).cold).toMatchObject([{ name: OLD, rows: 2000 }]);
  await warm({ ...to, leaves: [OLD], apply: true });
  const { tables: outcomes } = await maintain({ url, apply: true, now });
  expect(outcomes).toMatchObject([{ retired: [{ name: "orders_2023_12", fate: "dropped" }] }]);
  expect(await texts("SELECT count(*)::text AS text FROM public.orders")).toEqual(["2001"]);
});

describe("what is missing would be found out halfway:", () => {
  const refusal = async (over: Partial<Parameters<typeof cool>[0]> = {}) => {
    const error: unknown = await cool({ ...scene.to, leaves: [OLD], apply: true, ...over }).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ exitCode: 2, state: expect.stringMatching(/^Nothing was touched/) });
    const text = error instanceof PartwayError ? `${error.message} ${error.next}` : "";
    expect(text).not.toMatch(targetOf(scene.cold.ownerUrl).password?.reveal() ?? "?");
    expect(await scene.tables(scene.far)).toEqual([]);
    return text;
  };

  test("the wrapper, the server, the mapping, in turn and with the statements", async () => {
    const { hot, cold, to, values } = await open({ unique: true, bare: true });
    const before = await values("public.orders");
    const first = await refusal();
    expect(first).toMatch(
      /CREATE EXTENSION postgres_fdw; CREATE SERVER "partway_cold" .*; CREATE USER MAPPING FOR/,
    );
    await asAdmin(hot.superuserUrl, async (admin) => {
      await admin.query("CREATE EXTENSION postgres_fdw SCHEMA public");
      await admin.query(/(CREATE SERVER .*?);/.exec(first)?.[1] ?? "");
    });
    const second = await refusal();
    expect(second).toMatch(/GRANT USAGE ON FOREIGN SERVER/);
    await asAdmin(hot.superuserUrl, (admin) => admin.query(/(GRANT USAGE .*?);/.exec(second)?.[1] ?? ""));
    expect(await refusal()).toMatch(/has no user mapping .*CREATE USER MAPPING FOR .*password '\.\.\.'/);
    await cool({ ...to, leaves: [OLD], apply: true, makeMapping: true });
    expect(await values("public.orders_with_cold")).toEqual(before);
    expect(cold.name).not.toBe(hot.name);
  });

  test("types there, a table in the way, a reader without a mapping, a leaf that is none", async () => {
    const { hot, far, session } = await open({ unique: false });
    await far.query("DROP TYPE public.mood");
    expect(await refusal()).toMatch(
      /has not the type public\.mood There, then .*CREATE TYPE public\.mood AS ENUM \('so, so', 'fine'\)/,
    );
    await far.query("CREATE TYPE public.mood AS ENUM ('so, so', 'fine')");
    await expect(cool({ ...scene.to, leaves: ["nope"] })).rejects.toMatchObject({ exitCode: 2 });
    await asAdmin(hot.superuserUrl, (admin) => admin.query(`CREATE ROLE ${hot.role}_reader LOGIN`));
    try {
      await session.query(`GRANT SELECT ON public.orders TO ${hot.role}_reader`);
      expect(await refusal()).toMatch(`CREATE USER MAPPING FOR "${hot.role}_reader"`);
    } finally {
      await asAdmin(hot.superuserUrl, (admin) =>
        admin.query(`DROP OWNED BY ${hot.role}_reader; DROP ROLE ${hot.role}_reader`),
      );
    }
    await far.query(`CREATE TABLE public.${OLD} (precious int)`);
    await expect(cool({ ...scene.to, leaves: [OLD], apply: true })).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/already/),
    });
    expect(await scene.tables(far)).toEqual([`r ${OLD}`]);
  });
});

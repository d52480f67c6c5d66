import { afterEach, expect, test } from "vitest";
import { EXIT } from "../../src/errors.js";
import type { Session } from "../../src/pg/session.js";
import { cutover } from "../../src/phases/cutover.js";
import { lines, makeItems, startItems, tables } from "../engine/items.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { SAME, type TestMigration, untilBlocked, value } from "../support/migration.js";
import { stages } from "../support/stages.js";

let db: TestDatabase;
/** Also the application's connection: opened before cutover, used after it. */
let session: Session;

async function empty(): Promise<void> {
  db = await freshDatabase();
  session = await db.session();
}
afterEach(() => db.drop());

const NOTHING =
  "CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'";

type Stage = "shadow" | "copy" | "index" | "validate";
const stage = stages<Stage>(async (last) => {
  await empty();
  await session.query(NOTHING);
  await makeItems(session);
  const migration = await startItems(db);
  await migration.through(last);
  return migration;
});

async function behind(last: Stage): Promise<TestMigration> {
  const migration = await stage(last);
  ({ db } = migration);
  session = await db.session();
  return migration;
}

const validated = () => behind("validate");

/** `p` when items is partitioned, `r` while it is the old table. */
const kind = () => value(session, "SELECT relkind FROM pg_class WHERE oid = 'public.items'::regclass");
/** A try for the cutover's strong locks has failed. */
const TRY_FAILED = /^ROLLBACK TO SAVEPOINT locks/;
/** A try for the cutover's strong locks begins. */
const STRONG = /^LOCK TABLE .* IN ACCESS EXCLUSIVE MODE/;
/** Inside the lock, and nowhere else. */
const INSIDE = /^ALTER TABLE .* RENAME TO/;
/** How the definitions that this session has read were planned. */
const PLANS =
  "SELECT format('generic %s, custom %s', generic_plans, custom_plans) FROM pg_prepared_statements WHERE name = 'fingerprint'";

/** A session that keeps the cutover waiting: it has read the table and not ended its transaction. */
async function reader(): Promise<Session> {
  const other = await db.session();
  await other.begin();
  await other.query("SELECT FROM public.items LIMIT 1");
  return other;
}

test("rows committed while the cutover waited for its lock would be missing from the new table", async () => {
  const migration = await validated();
  const writer = await db.session();
  await writer.begin();
  await writer.query("UPDATE public.items SET note = 'in flight' WHERE id = 10");
  await writer.query("DELETE FROM public.items WHERE id = 11");
  await writer.query("UPDATE public.items SET bucket = 900 WHERE id = 12");
  await writer.query("INSERT INTO public.items (id, bucket, note) VALUES (7000, 1100, 'in flight')");
  // Not between the tries, where the log is drained, but when the lock is asked for.
  migration.before(TRY_FAILED, async () => {
    migration.before(STRONG, async () => writer.commit());
  });
  await migration.run("cutover");
  expect(await kind()).toBe("p");
  expect(
    await lines(session, "SELECT id, bucket, note FROM public.items WHERE id IN (10, 11, 12, 7000)"),
  ).toEqual(["10|10|in flight", "12|900|", "7000|1100|in flight"]);
  expect(migration.seen("cutover")).toMatchObject([{ direction: "forward", drainedKeys: 5, tries: 2 }]);
  expect(await migration.difference("reverse")).toEqual(SAME);
});

test("what is changed while the lock is sought would be applied while everybody waits for it", async () => {
  const migration = await validated();
  const writer = await db.session();
  await writer.begin();
  await writer.query("UPDATE public.items SET note = 'meanwhile' WHERE id BETWEEN 1 AND 300");
  migration.before(TRY_FAILED, async () => writer.commit());
  await migration.run("cutover");
  expect(migration.seen("cutover")).toMatchObject([{ drainedKeys: 0, tries: 2 }]);
  expect(await value(session, "SELECT count(*) FROM public.items WHERE note = 'meanwhile'")).toBe("300");
  expect(await migration.difference("reverse")).toEqual(SAME);
});

test("who waits for the table behind the cutover would wait in a circle that no deadlock check sees", async () => {
  const migration = await validated();
  const other = await db.session();
  await session.query("UPDATE public.items SET note = 'logged' WHERE id = 1");
  let waiting: Promise<unknown> = Promise.resolve();
  let bound: string | null = null;
  // It waits for the cutover's SHARE UPDATE EXCLUSIVE, the drain before the try waits for it, and the cutover for the drain.
  migration.before(/^LOCK TABLE .*"items" IN SHARE UPDATE EXCLUSIVE MODE/, async () => {
    migration.before(/^LOCK TABLE .* IN ACCESS SHARE MODE/, async (drain) => {
      bound = await value(drain, "SELECT current_setting('lock_timeout')");
      await other.begin();
      waiting = other.query("LOCK TABLE public.items IN ACCESS EXCLUSIVE MODE").then(() => other.rollback());
      await untilBlocked(session, other.pid);
    });
  });
  await migration.run("cutover");
  await waiting;
  expect(bound).toBe(`${migration.settings.lockTimeoutMs}ms`);
  expect(await kind()).toBe("p");
  expect(migration.seen("cutover")).toMatchObject([{ drainedKeys: 0, tries: 1 }]);
  expect(await migration.difference("reverse")).toEqual(SAME);
});

test("the last drain would be planned inside the lock when the log was empty before", async () => {
  const migration = await validated();
  const writer = await db.session();
  await writer.begin();
  await writer.query("UPDATE public.items SET note = 'last' WHERE id = 3");
  migration.before(TRY_FAILED, async () => {
    migration.before(STRONG, async () => writer.commit());
  });
  let plans: string | null = null;
  migration.before(INSIDE, async (inside) => {
    plans = await value(
      inside,
      `SELECT string_agg(concat_ws(' ', name, generic_plans, custom_plans), ', ' ORDER BY name)
         FROM pg_prepared_statements WHERE name LIKE 'apply_forward_%'`,
    );
  });
  await migration.run("cutover");
  // Before the lock once in vain by the drain (it asks only what there is), once to be planned; then the last one.
  expect(plans).toBe(
    "apply_forward_forget 2 0, apply_forward_insert 2 0, apply_forward_pick 3 0, apply_forward_remove 2 0",
  );
});

test("a statement before the locks would fix a snapshot that is older than the last commits", async () => {
  const migration = await validated();
  const all: { pid: number; sql: string }[] = [];
  const context = migration.context();
  const { open } = context;
  context.open = async () => {
    const opened = await open();
    const send = opened.query.bind(opened);
    opened.query = (sql, params, name) => {
      if (opened.inTransaction || sql.startsWith("BEGIN"))
        all.push({ pid: opened.pid, sql: sql.split("\n")[0] ?? "" });
      return send(sql, params, name);
    };
    return opened;
  };
  await cutover.run(context);
  await context.close();
  // Of the session that takes the locks: beside it another one drains.
  const locking = all.findLast(({ sql }) => sql.includes("ACCESS EXCLUSIVE"))?.pid;
  const sent = all.filter(({ pid }) => pid === locking).map(({ sql }) => sql);
  const strong = sent.findLastIndex((sql) => sql.includes("ACCESS EXCLUSIVE"));
  const begin = sent.slice(0, strong).findLastIndex((sql) => sql.startsWith("BEGIN"));
  expect(sent[begin]).toBe("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
  // Neither a SELECT nor anything else that takes a snapshot: https://www.postgresql.org/docs/current/sql-lock.html
  expect(
    sent.slice(begin + 1, strong).filter((sql) => !/^(SET LOCAL|SAVEPOINT|LOCK TABLE)/.test(sql)),
  ).toEqual([]);
  const locks = sent.slice(begin, strong + 1).filter((sql) => sql.startsWith("LOCK"));
  const { shadow, source } = tables(migration);
  expect(locks).toEqual([
    `LOCK TABLE ${shadow} IN SHARE UPDATE EXCLUSIVE MODE`,
    `LOCK TABLE ${source} IN SHARE UPDATE EXCLUSIVE MODE`,
    `LOCK TABLE ${shadow} IN ACCESS EXCLUSIVE MODE`,
    `LOCK TABLE ${source} IN ACCESS EXCLUSIVE MODE`,
  ]);
});

test("a long reader would have the run give up for good", async () => {
  const migration = await validated();
  const other = await reader();
  migration.events.length = 0;
  await expect(migration.run("cutover", { lockTries: 3 })).rejects.toMatchObject({
    kind: "lock-busy",
    exitCode: EXIT.lockBusy,
    message: expect.stringContaining(`pid ${other.pid}`),
    next: expect.stringContaining(`partway resume ${migration.plan.id}`),
  });
  expect(await kind()).toBe("r");
  // Meanwhile everybody works, and is captured.
  await session.query("UPDATE public.items SET note = 'meanwhile' WHERE id = 5");
  expect(migration.seen("lock-try").map((t) => t.outcome)).toEqual(["timeout", "timeout", "timeout"]);
  await other.commit();
  await migration.run("cutover");
  expect(await kind()).toBe("p");
  expect(await value(session, "SELECT note FROM public.items WHERE id = 5")).toBe("meanwhile");
});

test("the application would wait while the look for drift inside the lock is planned", async () => {
  const migration = await validated();
  let plans: string | null = null;
  migration.before(INSIDE, async (inside) => {
    plans = await value(inside, PLANS);
  });
  await migration.run("cutover");
  // Before the lock for both tables, inside it for the source: one generic plan, made the first time.
  expect(plans).toBe("generic 3, custom 0");
});

test("the application would stand still for longer than the hold budget", async () => {
  const migration = await validated();
  // The first time something inside the lock takes far too long, and a writer waits for it.
  const writes: Promise<unknown>[] = [];
  migration.before(INSIDE, async (inside) => {
    writes.push(session.query("UPDATE public.items SET note = 'waited' WHERE id = 9"));
    await untilBlocked(migration.session, session.pid);
    await inside.query("SELECT pg_sleep(60)");
  });
  // The writer that waited gets through between the two tries: the second one would not get its lock otherwise.
  await migration.run("cutover", { holdBudgetMs: 1000 });
  await Promise.all(writes);
  expect(migration.seen("log")[0]?.message).toMatch(
    /more than the hold budget of 1000 ms, and was rolled back/,
  );
  expect(migration.seen("cutover")).toHaveLength(1);
  expect(await value(session, "SELECT note FROM public.items WHERE id = 9")).toBe("waited");
  expect(await migration.difference("reverse")).toEqual(SAME);
});

test("many short statements would add up to more than the hold budget", async () => {
  const migration = await validated();
  // Neither of them is as long as the budget; together they are.
  const slow = (inside: Session) => inside.query("SELECT pg_sleep(0.7)").then(() => undefined);
  migration.before(INSIDE, slow);
  migration.before(/UPDATE partway.migration SET phase = 'retain'/, slow);
  await migration.run("cutover", { holdBudgetMs: 1000 });
  expect(migration.seen("log")[0]?.message).toContain("hold budget of 1000 ms");
});

test("a budget that can never be kept would try for ever, or leave half a swap", async () => {
  const migration = await validated();
  const slow = (inside: Session) => inside.query("SELECT pg_sleep(1)").then(() => undefined);
  migration.before(INSIDE, slow, 100);
  await expect(migration.run("cutover", { holdBudgetMs: 50 })).rejects.toMatchObject({
    kind: "lock-busy",
    exitCode: EXIT.lockBusy,
    next: expect.stringContaining("--hold-budget 100"),
  });
  expect(await kind()).toBe("r");
  expect((await migration.stored()).phase).toBe("cutover");
});

test("a session that holds the sequence would end the run at the worst moment", async () => {
  const migration = await validated();
  // It has taken a number and not yet used it: no lock on the table, one on the sequence.
  const thinking = await db.session();
  await thinking.begin();
  await thinking.query("SELECT nextval('public.items_id_seq')");
  migration.before(/^ROLLBACK$/, async () => thinking.commit());
  await migration.run("cutover");
  expect(await kind()).toBe("p");
  expect(migration.seen("log")).toHaveLength(1);
});

test("a TRUNCATE in the last moment would end the run, or bring its rows back", async () => {
  const migration = await validated();
  const other = await reader();
  await session.query("UPDATE public.items SET note = 'x' WHERE id = 1");
  // TRUNCATE asks before the cutover does, and gets in once the reader has ended.
  let truncated: Promise<unknown> | null = null;
  migration.before(/^LOCK TABLE .*partitioned.* SHARE UPDATE EXCLUSIVE/, async () => {
    truncated = session.query("TRUNCATE public.items");
    await untilBlocked(other, session.pid);
  });
  migration.before(TRY_FAILED, async () => other.commit());
  await expect(migration.run("cutover")).rejects.toMatchObject({ kind: "copy-restart" });
  await truncated;
  await session.query("INSERT INTO public.items (bucket, note) VALUES (3, 'after')");
  await migration.through("cutover");
  expect(await kind()).toBe("p");
  expect(await lines(session, "SELECT bucket, note FROM public.items")).toEqual(["3|after"]);
});

test("a row outside every leaf in the last moment would end the run", async () => {
  const migration = await validated();
  const writer = await db.session();
  await writer.begin();
  await writer.query("INSERT INTO public.items (id, bucket) VALUES (7000, 99000)");
  migration.before(TRY_FAILED, async () => writer.commit());
  await migration.run("cutover");
  expect(await kind()).toBe("p");
  expect(await value(session, "SELECT bucket FROM public.items WHERE id = 7000")).toBe("99000");
  expect(migration.seen("leaf-created")).toHaveLength(1);
});

test("statements that name an index, a constraint or a sequence would fail after cutover", async () => {
  await empty();
  await session.query("CREATE TABLE public.names_before AS SELECT 1 AS x");
  await makeItems(session);
  await session.query("ALTER TABLE public.items ADD CONSTRAINT items_bucket_note_key UNIQUE (bucket, id)");
  await session.query("ALTER TABLE public.items ADD CONSTRAINT items_bucket_check CHECK (bucket >= 0)");
  const names = `
    SELECT 'index', c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = 'public.items'::regclass
    UNION ALL SELECT 'constraint', conname FROM pg_constraint WHERE conrelid = 'public.items'::regclass
    UNION ALL SELECT 'sequence', pg_get_serial_sequence('public.items', 'id')`;
  const before = await lines(session, names);
  const migration = await startItems(db);
  await migration.through("cutover");
  expect(await lines(session, names)).toEqual(before);
  await session.query(
    "INSERT INTO public.items (id, bucket) VALUES (1, 1) ON CONFLICT ON CONSTRAINT items_pkey DO UPDATE SET note = 'conflict'",
  );
  expect(await value(session, "SELECT note FROM public.items WHERE id = 1")).toBe("conflict");
  await session.query("SELECT nextval('public.items_id_seq')");
  await session.query("REINDEX INDEX public.items_note_idx");
});

test("prepared statements of connections opened before would fail, or write to the old table", async () => {
  await empty();
  await makeItems(session);
  const statements: [name: string, sql: string, params: (string | null)[]][] = [
    ["all", "SELECT * FROM public.items WHERE id = $1", ["10"]],
    ["insert", "INSERT INTO public.items (bucket, note) VALUES ($1, $2) RETURNING *", ["5", "prepared"]],
    ["update", "UPDATE public.items SET note = $2 WHERE id = $1 RETURNING *", ["10", "prepared"]],
    ["delete", "DELETE FROM public.items WHERE id = $1 RETURNING *", ["11"]],
    ["upsert", "INSERT INTO public.items (id, bucket) VALUES ($1, 12) ON CONFLICT DO NOTHING", ["12"]],
  ];
  // Six times: after five the server may keep a generic plan, whose tables are the old ones.
  for (let n = 0; n < 6; n++)
    for (const [name, sql, params] of statements) await session.query(sql, params, name);
  const migration = await startItems(db);
  await migration.through("cutover");
  const { retired } = tables(migration);
  const old = await lines(session, `SELECT * FROM ${retired}`);
  for (const [name, sql, params] of statements) await session.query(sql, params, name);
  const { rows } = await session.query("SELECT * FROM public.items WHERE id = $1", ["10"], "all");
  expect(rows).toEqual([{ id: "10", bucket: "10", note: "prepared" }]);
  expect(await lines(session, `SELECT * FROM ${retired}`)).toEqual(old);
  expect(await value(session, "SELECT count(*) FROM public.items WHERE note = 'prepared'")).toBe("8");
});

const nextId = (note: string) =>
  value(session, `INSERT INTO public.items (bucket, note) VALUES (1, '${note}') RETURNING id`);

test.each(["GENERATED BY DEFAULT AS IDENTITY", "GENERATED ALWAYS AS IDENTITY", "serial"])(
  "ids would be handed out a second time after cutover, with %s",
  async (how) => {
    await empty();
    const type = how === "serial" ? "bigserial" : `bigint ${how}`;
    await session.query(`CREATE TABLE public.items (id ${type} PRIMARY KEY, bucket int NOT NULL, note text)`);
    await session.query("ALTER SEQUENCE public.items_id_seq CACHE 20");
    await session.query("INSERT INTO public.items (bucket) SELECT n FROM generate_series(1, 300) AS n");
    // Numbers taken from the cache by another connection, and not used yet.
    const other = await db.session();
    await other.query("INSERT INTO public.items (bucket) VALUES (1)");
    const migration = await startItems(db);
    await migration.through("cutover");
    const largest = Number(await value(session, "SELECT max(id) FROM public.items"));
    expect(Number(await nextId("after"))).toBeGreaterThan(largest);
    const both = [
      await nextId("a"),
      await value(other, "INSERT INTO public.items (bucket) VALUES (2) RETURNING id"),
    ];
    expect(new Set(both).size).toBe(2);
    expect(await value(session, "SELECT count(*) - count(DISTINCT id) FROM public.items")).toBe("0");
    expect(await value(session, "SELECT pg_get_serial_sequence('public.items', 'id')")).toBe(
      "public.items_id_seq",
    );
    expect(migration.seen("log")).toEqual([]);
  },
);

test("an empty table would lose its first id", async () => {
  await empty();
  await session.query(
    "CREATE TABLE public.items (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, bucket int NOT NULL, note text)",
  );
  const migration = await startItems(db);
  await migration.through("cutover");
  expect(await nextId("first")).toBe("1");
});

test("a sequence that lagged behind the keys would hand out an id twice, and nothing would complain", async () => {
  await empty();
  await makeItems(session);
  await session.query("SELECT setval('public.items_id_seq', 7)");
  const migration = await startItems(db);
  await migration.through("cutover");
  expect(migration.seen("log").filter(({ level }) => level === "warn")).toEqual([
    {
      event: "log",
      level: "warn",
      message: "sequence items_id_seq lagged behind the largest key and was moved to 1200",
    },
  ]);
  expect(await nextId("after")).toBe("1201");
});

test("somebody who writes to the old table by its new name would not be noticed", async () => {
  const migration = await validated();
  // After the swap has committed, before the look at the log in a transaction of its own.
  migration.before(
    /FROM pg_sequence|^SELECT count\(\*\)::text AS n FROM \(SELECT FROM "partway"."fwd_log/,
    async () => {
      if ((await kind()) === "p")
        await session.query(`UPDATE ${tables(migration).retired} SET note = 'lost?' WHERE id = 1`);
    },
    20,
  );
  await migration.run("cutover");
  expect(migration.seen("log")).toContainEqual(
    expect.objectContaining({
      message: expect.stringMatching(
        /^somebody has written to \(\d+ changes; key 1\) the retired table public.items_retired/,
      ),
    }),
  );
});

test("a cutover that nothing proves would be allowed", async () => {
  const migration = await behind("index");
  await expect(migration.run("cutover")).rejects.toThrow("cutover was asked for before validation");
  expect(await kind()).toBe("r");
});

/** What another session can do to the table; each must stop the run at the next phase and show itself. */
const DRIFTS: [what: string, sql: string, shown: RegExp][] = [
  ["ADD COLUMN", "ALTER TABLE public.items ADD COLUMN added int", /\+ column 4 added integer/],
  ["a new index", "CREATE INDEX late_idx ON public.items (bucket)", /\+ index late_idx/],
  [
    "a new trigger",
    "CREATE TRIGGER late AFTER INSERT ON public.items EXECUTE FUNCTION public.nothing()",
    /\+ trigger CREATE TRIGGER late/,
  ],
  ["a new view", "CREATE VIEW public.late AS SELECT id FROM public.items", /\+ view public.late/],
  ["a GRANT", "GRANT SELECT ON public.items TO PUBLIC", /\+ grant SELECT to PUBLIC/],
];

test.each(
  DRIFTS.flatMap((drift) =>
    (["copy", "index", "validate", "cutover"] as const).map((phase) => [drift[0], phase, drift] as const),
  ),
)("%s before %s would be lost, or break the new table", async (_what, phase, [, sql, shown]) => {
  const order = ["shadow", "copy", "index", "validate"] as const;
  const migration = await behind(order[[...order, "cutover"].indexOf(phase) - 1] ?? "shadow");
  await session.query(sql);
  const error = await migration.run(phase).catch((e: unknown) => e);
  expect(error).toMatchObject({ kind: "drift", exitCode: EXIT.drift, message: expect.stringMatching(shown) });
  expect(await kind()).toBe("r");
  expect((await migration.stored()).phase).toBe(phase);
});

test.each(DRIFTS)("%s between the last look and the lock would be lost", async (_what, sql, shown) => {
  const migration = await validated();
  migration.before(/^SET LOCAL lock_timeout/, () => session.query(sql).then(() => undefined));
  await expect(migration.run("cutover")).rejects.toMatchObject({
    kind: "drift",
    message: expect.stringMatching(shown),
  });
  expect(await kind()).toBe("r");
});

test.each([
  ["dropped", "DROP TABLE public.items", "dropped or renamed"],
  [
    "replaced",
    "ALTER TABLE public.items RENAME TO other; CREATE TABLE public.items (LIKE public.other INCLUDING ALL)",
    "replaced",
  ],
])("a table that was %s would be taken for the one that was planned", async (_what, sql, shown) => {
  const migration = await validated();
  await session.query(sql);
  const error = await migration.run("cutover").catch((e: unknown) => e);
  expect(error).toMatchObject({
    kind: "drift",
    exitCode: EXIT.drift,
    message: expect.stringContaining(shown),
  });
});

test.each(["ENABLE TRIGGER USER", "exactly as it was"])(
  "a write made while the capture triggers were switched off would be lost (%s)",
  async (again) => {
    const migration = await validated();
    await session.query("ALTER TABLE public.items DISABLE TRIGGER USER");
    await session.query("UPDATE public.items SET note = 'bulk load' WHERE id = 1");
    const { forwardTrigger, forwardTruncateTrigger } = migration.plan.names;
    if (again === "ENABLE TRIGGER USER") await session.query("ALTER TABLE public.items ENABLE TRIGGER USER");
    else
      for (const name of [forwardTrigger, forwardTruncateTrigger])
        await session.query(`ALTER TABLE public.items ENABLE ALWAYS TRIGGER ${name}`);
    for (const phase of ["cutover", "validate"] as const)
      await expect(migration.run(phase)).rejects.toMatchObject({
        kind: "drift",
        exitCode: EXIT.drift,
        message: expect.stringContaining(forwardTrigger),
        next: expect.stringContaining("partway abort"),
      });
    expect(await kind()).toBe("r");
  },
);

test("a write made while capture was off between the last drain and the lock would be lost", async () => {
  const migration = await validated();
  migration.before(/^SET LOCAL lock_timeout/, async () => {
    await session.query("ALTER TABLE public.items DISABLE TRIGGER USER");
    await session.query("UPDATE public.items SET note = 'bulk load' WHERE id = 1");
    await session.query("ALTER TABLE public.items ENABLE TRIGGER USER");
  });
  await expect(migration.run("cutover")).rejects.toMatchObject({ kind: "drift" });
  expect(await kind()).toBe("r");
});

test("a REPEATABLE READ transaction that spans the cutover would not behave as the plan says", async () => {
  const migration = await validated();
  expect(migration.plan.consequences.map((c) => c.code)).toContain("snapshots-across-cutover");
  const spanning = await db.session();
  await spanning.begin({ isolation: "repeatable read" });
  await spanning.query("SELECT 1");
  // Changed after its snapshot was taken: applied to the new table only afterwards.
  await session.query("UPDATE public.items SET note = 'new' WHERE id = 10");
  await migration.run("cutover");
  const seen = await spanning.query("SELECT id FROM public.items WHERE id IN (10, 20) ORDER BY id");
  expect(seen.rows).toEqual([{ id: "10" }, { id: "20" }]);
  await expect(spanning.query("UPDATE public.items SET note = 'mine' WHERE id = 10")).rejects.toMatchObject({
    code: "40001",
  });
  await spanning.rollback();
  expect(await value(session, "SELECT note FROM public.items WHERE id = 10")).toBe("new");
});

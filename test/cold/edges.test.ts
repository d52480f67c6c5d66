/** What a company's rows meet beside the straight way: an ALTER in between, rights, mappings, a writer on the other side. */
import { afterEach, expect, test, vi } from "vitest";
import { COLD_SQL } from "../../src/cold/store.js";
import { cool, warm } from "../../src/cold.js";
import { ident } from "../../src/pg/quote.js";
import { asAdmin, targetOf } from "../support/database.js";
import { after, type ColdScene, mappingSql, NEW, OLD, openColdScene } from "./scene.js";

let scene: ColdScene;
afterEach(async () => {
  vi.restoreAllMocks();
  await scene.drop();
});
const open = async (unique: boolean) => {
  scene = await openColdScene({ unique });
  return scene;
};

test("a column that came while the leaf was copied would be gone with it", async () => {
  const { to, session, texts, far } = await open(true);
  after(
    (sql) => sql === COLD_SQL.verified,
    async () => {
      await session.query("ALTER TABLE public.orders ADD COLUMN extra text");
      await session.query("UPDATE public.orders SET extra = 'precious ' || id WHERE id = 5");
    },
  );
  await expect(cool({ ...to, leaves: [OLD], apply: true })).rejects.toMatchObject({ kind: "difference" });
  const extra = "SELECT extra AS text FROM public.orders WHERE id = 5";
  expect(await texts(extra)).toEqual(["precious 5"]);
  // The copy without it is not kept.
  await cool({ ...to, leaves: [OLD], apply: true });
  expect(await texts(`SELECT extra AS text FROM public.${OLD} WHERE id = 5`, far)).toEqual(["precious 5"]);
});

test("what only the leaf has would go with it, and nobody be told", async () => {
  const { to, session } = await open(true);
  const said = async () => (await cool({ ...to, leaves: [OLD] })).notes.join("\n");
  expect(await said()).not.toMatch(/of its own/);
  await session.query(`CREATE INDEX lone ON public.${OLD} (amount)`);
  await session.query(`ALTER TABLE public.${OLD} ADD CONSTRAINT cheap CHECK (amount < 1e5)`);
  expect(await said()).toMatch(/of its own, .*: the constraint cheap, the index lone/);
});

test("a NOT NULL that came after the copy was proven would be an error for ever", async () => {
  const { to, session, values } = await open(false);
  await session.query("UPDATE public.orders SET note = '' WHERE note IS NULL");
  const before = await values("public.orders");
  after(
    (sql) => sql === COLD_SQL.verified,
    () => session.query("ALTER TABLE public.orders ALTER note SET NOT NULL"),
  );
  await expect(cool({ ...to, leaves: [OLD], apply: true })).rejects.toMatchObject({ kind: "difference" });
  await cool({ ...to, leaves: [OLD], apply: true });
  expect(await values("public.orders")).toEqual(before);
});

test("an UPDATE of a cold leaf would spoil its generated columns", async () => {
  const { to, session, texts } = await open(false);
  await cool({ ...to, leaves: [OLD], apply: true });
  await session.query("UPDATE public.orders SET amount = 21 WHERE id = 7");
  await session.query("UPDATE public.orders SET amount = 22 + random() * 0 WHERE id = 8");
  const doubled = "SELECT doubled::int::text AS text FROM public.orders WHERE id IN (7, 8) ORDER BY id";
  expect(await texts(doubled)).toEqual(["42", "44"]);
  await warm({ ...to, leaves: [OLD], apply: true, acceptChanges: true });
  expect(await texts(doubled)).toEqual(["42", "44"]);
});

test("who could read the leaf would not read it cold, and who could not would", async () => {
  const { to, hot, session, texts } = await open(true);
  const [reader, stranger] = [`${hot.role}_reader`, `${hot.role}_stranger`];
  await asAdmin(hot.superuserUrl, (admin) => admin.query(`CREATE ROLE ${reader}; CREATE ROLE ${stranger}`));
  try {
    await session.query(`GRANT SELECT (id, note) ON public.${OLD} TO ${ident(reader)}`);
    await session.query(`ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ${ident(stranger)}`);
    await cool({ ...to, leaves: [OLD], apply: true });
    const may = (role: string, column: string) =>
      texts(
        `SELECT has_column_privilege('${role}', 'public.${OLD}'::regclass, '${column}', 'SELECT')::text AS text`,
      );
    expect(await may(reader, "note")).toEqual(["true"]);
    expect(await may(reader, "amount")).toEqual(["false"]);
    expect(await may(stranger, "note")).toEqual(["false"]);
    // What an administrator has set on the view stays, too.
    await session.query("ALTER VIEW public.orders_with_cold SET (security_invoker = true, security_barrier)");
    await cool({ ...to, leaves: [NEW], apply: true });
    expect(
      await texts(
        "SELECT array_to_string(reloptions, ',') AS text FROM pg_class WHERE relname = 'orders_with_cold'",
      ),
    ).toEqual(["security_invoker=true,security_barrier=true"]);
  } finally {
    await asAdmin(hot.superuserUrl, (admin) =>
      admin.query(
        `DROP OWNED BY ${reader}, ${stranger}; ALTER DEFAULT PRIVILEGES FOR ROLE ${ident(hot.role)} REVOKE ALL ON TABLES FROM ${stranger};
         DROP ROLE ${reader}; DROP ROLE ${stranger}`,
      ),
    );
  }
});

test("a mapping that does not let its role in, or a server that is away, would be found out by the readers", async () => {
  const { to, hot, cold, tables } = await open(true);
  const refused = async (url: string) => {
    const error = await cool({ ...to, url, leaves: [OLD], apply: true }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ kind: "refused", state: expect.stringMatching(/attached as before/) });
    return String(error);
  };
  const { port } = targetOf(cold.superuserUrl);
  const move = (to: number) =>
    asAdmin(hot.superuserUrl, (admin) => admin.query(`ALTER SERVER partway_cold OPTIONS (SET port '${to}')`));
  await move(1);
  expect(await refused(to.url)).not.toMatch(/connection to the server lost/);
  await move(port);
  const superuser = targetOf(hot.superuserUrl).user;
  await asAdmin(hot.superuserUrl, async (admin) => {
    await admin.query(mappingSql(superuser, cold));
    await admin.query(
      `ALTER USER MAPPING FOR ${ident(hot.role)} SERVER partway_cold OPTIONS (SET user 'nobody_there')`,
    );
  });
  expect(await refused(hot.superuserUrl)).toMatch(`cannot be read through the foreign server by ${hot.role}`);
  expect(await tables()).toContain(`r ${OLD} *`);
});

test("what is on the cold server would be dropped although it was changed, or is another database's", async () => {
  const { to, far, session, tables, values, texts } = await open(true);
  await cool({ ...to, leaves: [OLD], apply: true });
  const drop = () => warm({ ...to, leaves: [OLD], apply: true, dropCold: true });
  // As in a dump of the database that was restored elsewhere: the ids are the same.
  const [mark = ""] = await texts(`SELECT obj_description('public.${OLD}'::regclass) AS text`, far);
  await far.query(`COMMENT ON TABLE public.${OLD} IS '${mark.replace(/ of .*/, " of 1/2")}'`);
  await expect(drop()).rejects.toMatchObject({ kind: "refused" });
  await far.query(`COMMENT ON TABLE public.${OLD} IS '${mark}'`);
  await far.query(`UPDATE public.${OLD} SET note = 'late' WHERE id = 8`);
  await expect(drop()).rejects.toMatchObject({ kind: "refused" });
  expect(await values(`public.${OLD}`, far)).toHaveLength(2000);
  await far.query(`UPDATE public.${OLD} SET note = md5('8') WHERE id = 8`);
  await session.query(`UPDATE public.orders SET note = 'warm' WHERE id = 8`);
  await drop();
  expect(await tables(far)).toEqual([]);
});

test("the view would be made anew without a cold leaf whose foreign table reads something else", async () => {
  const { to, session, texts } = await open(true);
  await cool({ ...to, leaves: [OLD], apply: true });
  await session.query(`ALTER FOREIGN TABLE public.${OLD} OPTIONS (SET table_name 'elsewhere')`);
  await expect(cool({ ...to, leaves: [NEW], apply: true })).rejects.toMatchObject({
    kind: "refused",
    next: expect.stringMatching(/DELETE FROM partway\.partition_cold/),
  });
  await session.query(`ALTER FOREIGN TABLE public.${OLD} OPTIONS (SET table_name '${OLD}')`);
  // As after a dump and restore, where every OID is another one.
  await session.query("UPDATE partway.partition_cold SET foreign_table = 1 WHERE cooled_at IS NOT NULL");
  await cool({ ...to, leaves: [NEW], apply: true });
  expect(await texts("SELECT count(*)::text AS text FROM public.orders_with_cold")).toEqual(["2001"]);
});

test("a writer who waits on the cold server, and holds the table here, would wait for all of our tries", async () => {
  const { to, hot, cold, texts } = await open(false);
  await cool({ ...to, leaves: [OLD], apply: true });
  const [writer, watcher] = [await hot.session(), await cold.session()];
  const writes: Promise<unknown>[] = [];
  after(
    (sql) => /^LOCK TABLE .* SHARE ROW EXCLUSIVE/.test(sql),
    async () => {
      writes.push(writer.query("UPDATE public.orders SET note = 'late' WHERE id = 5"));
      await expect
        .poll(() => texts("SELECT count(*)::text AS text FROM pg_locks WHERE NOT granted", watcher), {
          timeout: 4000,
          interval: 10,
        })
        .toEqual(["1"]);
    },
  );
  await expect(warm({ ...to, leaves: [OLD], apply: true })).rejects.toMatchObject({
    kind: "lock-busy",
    message: expect.stringMatching(/waits on the cold server/),
  });
  await Promise.all(writes);
  expect(await texts("SELECT note AS text FROM public.orders WHERE id = 5")).toEqual(["late"]);
});

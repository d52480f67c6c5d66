/**
 * What an application notices of the change from an ordinary to a partitioned table, and what it does not: every
 * statement of README's "What changes for your application" is tried here before cutover, after it, and after rollback.
 */
import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { sqlState } from "../../src/pg/sqlstate.js";
import { atLeast } from "../support/versions.js";
import { type Clientele, openClientele } from "./scene.js";

type Stage = "before" | "after" | "rolled back";

let scene: Clientele;
/** An application's connection, opened before the migration and never given up. */
let client: pg.Client;
let stage: Stage = "before";

beforeAll(async () => {
  scene = await openClientele(400);
  client = new pg.Client({ connectionString: scene.db.ownerUrl });
  await client.connect();
  await client.query("CREATE UNIQUE INDEX orders_id_at ON orders (id, created_at)");
  await prepare();
  await scene.run("validate");
});
afterAll(async () => {
  await client.end();
  await scene.close();
});

/** Statements that the application prepared long ago. */
async function prepare(): Promise<void> {
  await client.query("PREPARE whole_row AS SELECT o FROM orders AS o WHERE id = $1");
  await client.query("PREPARE star AS SELECT * FROM orders WHERE id = $1");
  await client.query("PREPARE composite AS SELECT (o).* FROM orders AS o WHERE id = $1");
  await client.query(
    "PREPARE give_back AS INSERT INTO orders (note, amount, created_at) VALUES ('x', 1, $1) RETURNING *",
  );
  await client.query(`
    CREATE FUNCTION public.note_of(wanted bigint) RETURNS text LANGUAGE plpgsql AS $$
    DECLARE found public.orders%ROWTYPE;
    BEGIN
      SELECT * INTO STRICT found FROM public.orders WHERE id = wanted;
      found.note := found.note || '!';
      UPDATE public.orders SET note = found.note WHERE id = found.id;
      RETURN found.note;
    END $$`);
  await client.query("SELECT public.note_of(7)");
}

/** What a statement gives: its row count, or the SQLSTATE it fails with. */
async function gives(sql: string, ...values: unknown[]): Promise<string> {
  try {
    const { command, rowCount } = await client.query(sql, values);
    return `${command} ${rowCount}`;
  } catch (error) {
    if (error instanceof pg.DatabaseError) return String(error.code);
    throw error;
  }
}

/** The error that a statement fails with. */
async function failure(sql: string): Promise<pg.DatabaseError> {
  try {
    await client.query(sql);
  } catch (error) {
    if (error instanceof pg.DatabaseError) return error;
    throw error;
  }
  throw new Error(`it did not fail: ${sql}`);
}

const one = async (sql: string): Promise<unknown> =>
  Object.values((await client.query(sql)).rows[0] ?? {})[0];

const STAGES: readonly Stage[] = ["before", "after", "rolled back"];

describe.each(STAGES)("%s", (now) => {
  const partitioned = now === "after";
  /** The answer of an ordinary table, and of a partitioned one. */
  const or = <T>(ordinary: T, other: T): T => (partitioned ? other : ordinary);

  beforeAll(async () => {
    if (now !== "before") await scene.go(now === "after" ? "cutover" : "rollback");
    stage = now;
  });

  test("the stage is not what the tests below believe", async () => {
    expect(stage).toBe(now);
    expect(await one("SELECT relkind FROM pg_class WHERE oid = 'orders'::regclass")).toBe(or("r", "p"));
  });

  test("ON CONFLICT (id) would go on working, or the advice for it not work", async () => {
    const insert = "INSERT INTO orders (id, note, amount, created_at) VALUES (5, 'again', 1, '2025-01-04')";
    expect(await gives(`${insert} ON CONFLICT (id) DO UPDATE SET note = orders.note`)).toBe(
      or("INSERT 1", "42P10"),
    );
    expect(await gives(`${insert} ON CONFLICT (id) DO NOTHING`)).toBe(or("INSERT 0", "42P10"));
    // For this the application made a unique index of its own beforehand: then it need not change at cutover.
    const again = "INSERT INTO orders SELECT id, note, 5, created_at FROM orders WHERE id = 5";
    const both = "ON CONFLICT (id, created_at) DO UPDATE SET amount = excluded.amount";
    expect(await gives(`${again} ${both}`)).toBe("INSERT 1");
    expect(await gives("SELECT FROM orders WHERE id = 5")).toBe("SELECT 1");
  });

  test("without the partition column, a conflict on the key alone would still be met", async () => {
    const insert = "INSERT INTO orders (id, note, amount, created_at) VALUES (6, 'twin', 1, '2025-06-06')";
    expect(await gives(`${insert} ON CONFLICT DO NOTHING`)).toBe(or("INSERT 0", "INSERT 1"));
    await client.query("DELETE FROM orders WHERE id = 6 AND note = 'twin'");
    expect(await gives(`${insert} ON CONFLICT ON CONSTRAINT orders_pkey DO NOTHING`)).toBe(
      or("INSERT 0", "INSERT 1"),
    );
    await client.query("DELETE FROM orders WHERE id = 6 AND note = 'twin'");
    expect(await gives(insert)).toBe(or("23505", "INSERT 1"));
    await client.query("DELETE FROM orders WHERE id = 6 AND note = 'twin'");
  });

  test("an error that names constraint and table would name them as before", async () => {
    const again = await failure(
      "INSERT INTO orders (id, note, amount, created_at) SELECT id, note, amount, created_at FROM orders WHERE id = 20",
    );
    expect([again.code, again.table]).toEqual(["23505", or("orders", "orders_2025_01")]);
    // A leaf's index has a name of its own, even where the parent's has the old one.
    if (partitioned) expect(again.constraint).toMatch(/^orders_2025_01_(pkey|id_created_at_idx)$/);
    else expect(again.constraint).toBe("orders_pkey");
    const check = await failure(
      "INSERT INTO orders (note, amount, created_at) VALUES ('x', -1, '2025-01-01')",
    );
    expect([check.code, check.table, check.constraint]).toEqual([
      "23514",
      or("orders", "orders_2025_01"),
      "amount_positive",
    ]);
    const missing = await failure("INSERT INTO orders (amount, created_at) VALUES (1, '2025-01-01')");
    expect([missing.code, missing.column]).toEqual(["23502", "note"]);
  });

  test("a row outside every leaf would be taken", async () => {
    expect(await gives("INSERT INTO orders (note, amount, created_at) VALUES ('x', 1, '1999-01-01')")).toBe(
      or("INSERT 1", "23514"),
    );
    await client.query("DELETE FROM orders WHERE created_at = '1999-01-01'");
  });

  test("RETURNING would lack something", async () => {
    const { rows } = await client.query(
      "INSERT INTO orders (note, amount, created_at) VALUES ('r', 1, '2025-03-03') RETURNING *, tableoid::regclass::text AS part",
    );
    expect(Object.keys(rows[0])).toEqual(["id", "note", "amount", "created_at", "part"]);
    expect(rows[0]).toMatchObject({ note: "r", part: or("orders", "orders_2025_03") });
    const id = String(rows[0].id);
    // Partway's triggers draw nothing from a sequence in the application's session.
    expect(await one("SELECT lastval()")).toBe(id);
    expect(await one("SELECT currval(pg_get_serial_sequence('orders', 'id'))")).toBe(id);
    expect(await gives("UPDATE orders SET note = 's' WHERE id = $1 RETURNING note", id)).toBe("UPDATE 1");
    expect(await gives("DELETE FROM orders WHERE id = $1 RETURNING *", id)).toBe("DELETE 1");
    // System columns of a row that has just been routed.
    expect(
      await gives(
        "INSERT INTO orders (note, amount, created_at) VALUES ('sys', 1, '2025-03-03') RETURNING xmin",
      ),
    ).toBe(or("INSERT 1", "0A000"));
    await client.query("DELETE FROM orders WHERE note = 'sys'");
  });

  test("a row changed by its ctid alone would be the only one", async () => {
    const { rows } = await client.query(
      "SELECT ctid, count(*)::int AS n FROM orders GROUP BY ctid ORDER BY n DESC LIMIT 1",
    );
    expect(rows[0].n > 1).toBe(partitioned);
    expect(
      await gives(
        "SELECT FROM orders WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM orders WHERE id = 9)",
      ),
    ).toBe("SELECT 1");
  });

  test("a statement prepared before the migration would fail, all but the one for a whole row as one value", async () => {
    expect(await gives("EXECUTE star(9)")).toBe("SELECT 1");
    expect(await gives("EXECUTE composite(9)")).toBe("SELECT 1");
    expect(await gives("EXECUTE give_back('2025-05-05')")).toBe("INSERT 1");
    await client.query("DELETE FROM orders WHERE note = 'x'");
    // The row's type is the table's, and the table is another one.
    expect(await gives("EXECUTE whole_row(9)")).toBe(or("SELECT 1", "0A000"));
    expect(await gives("SELECT o FROM orders AS o WHERE id = 9")).toBe("SELECT 1");
  });

  test("a PL/pgSQL function with %ROWTYPE, compiled in this session before the migration, would fail", async () => {
    expect(await gives("SELECT public.note_of(7)")).toBe("SELECT 1");
  });

  test("row counts would be of the leaves, or of nothing", async () => {
    expect(await gives("UPDATE orders SET amount = amount WHERE id <= 400")).toBe("UPDATE 400");
    await client.query("BEGIN");
    // One of two rows moves to another leaf: it is one row changed all the same.
    expect(await gives("UPDATE orders SET created_at = '2025-12-24' WHERE id IN (11, 12)")).toBe("UPDATE 2");
    expect(await gives("SELECT FROM orders WHERE id IN (11, 12)")).toBe("SELECT 2");
    await client.query("ROLLBACK");
    expect(await gives("SELECT FROM ONLY orders WHERE id <= 400")).toBe(or("SELECT 400", "SELECT 0"));
    expect(await gives("SELECT FROM orders WHERE id <= 400 FOR UPDATE SKIP LOCKED")).toBe("SELECT 400");
  });

  // Not known before 15.
  test.runIf(atLeast(inject("server").version, "15"))("MERGE would fail, or count otherwise", async () => {
    const source = "(VALUES (15, 15), (100015, 15)) AS m (id, amount)";
    const merge = `MERGE INTO orders AS o USING ${source} ON o.id = m.id WHEN MATCHED THEN UPDATE SET amount = m.amount
      WHEN NOT MATCHED THEN INSERT (id, note, amount, created_at) VALUES (m.id, 'merged', m.amount, '2025-09-09')`;
    expect(await gives(merge)).toBe("MERGE 2");
    expect(await gives("DELETE FROM orders WHERE note = 'merged' RETURNING id")).toBe("DELETE 1");
  });

  test("COPY orders TO would go on working, or its replacement not", async () => {
    const admin = await scene.db.session(scene.db.superuserUrl);
    const copied = async (what: string): Promise<string> => {
      try {
        return `COPY ${(await admin.query(`COPY ${what} TO PROGRAM 'cat > /dev/null'`)).count}`;
      } catch (error) {
        return sqlState(error) ?? String(error);
      }
    };
    const rows = Number(await one("SELECT count(*) FROM orders"));
    expect(await copied("public.orders")).toBe(or(`COPY ${rows}`, "42809"));
    expect(await copied("(SELECT * FROM public.orders)")).toBe(`COPY ${rows}`);
  });

  test("two sessions that change and move one row would wait for each other as before", async () => {
    const other = new pg.Client({ connectionString: scene.db.ownerUrl });
    await other.connect();
    try {
      const { rows } = await other.query("SELECT pg_backend_pid() AS pid");
      await client.query("BEGIN");
      await client.query("UPDATE orders SET created_at = '2025-12-24' WHERE id = 13");
      const waiting = other.query("UPDATE orders SET note = 'waited' WHERE id = 13").then(
        ({ rowCount }) => `UPDATE ${rowCount}`,
        (error: unknown) => (error instanceof pg.DatabaseError ? String(error.code) : String(error)),
      );
      for (let blocked = false; !blocked; )
        blocked =
          (await one(`SELECT cardinality(pg_blocking_pids(${rows[0].pid})) > 0 FROM pg_sleep(0.005)`)) ===
          true;
      await client.query("COMMIT");
      expect(await waiting).toBe(or("UPDATE 1", "40001"));
      await client.query("UPDATE orders SET created_at = '2025-01-12' WHERE id = 13");
    } finally {
      await other.end();
    }
  });

  test("the size and the statistics of the table would be found under its name", async () => {
    const size = Number(await one("SELECT pg_total_relation_size('orders')"));
    expect(size > 0).toBe(!partitioned);
    if (!partitioned) return;
    expect(
      Number(await one("SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('orders')")),
    ).toBeGreaterThan(0);
  });

  test("TRUNCATE, LOCK and a held cursor would fail", async () => {
    await client.query("BEGIN");
    expect(await gives("LOCK TABLE orders IN SHARE ROW EXCLUSIVE MODE")).toBe("LOCK null");
    expect(await gives("TRUNCATE orders")).toBe("TRUNCATE null");
    expect(await gives("SELECT FROM orders")).toBe("SELECT 0");
    await client.query("ROLLBACK");
    await client.query("BEGIN");
    await client.query("DECLARE walk CURSOR FOR SELECT * FROM orders WHERE id = 14 FOR UPDATE");
    await client.query("FETCH walk");
    expect(await gives("UPDATE orders SET note = 'current' WHERE CURRENT OF walk")).toBe("UPDATE 1");
    await client.query("ROLLBACK");
  });
});

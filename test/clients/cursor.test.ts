/** Cursors that are open while the names are swapped: none of them misses a row, sees one twice, or fails. */
import pg from "pg";
import Cursor from "pg-cursor";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { value } from "../support/migration.js";
import { type Clientele, openClientele } from "./scene.js";

const ROWS = 1_000;
const Ids = z.array(z.object({ id: z.string() }));

let scene: Clientele;
let client: pg.Client;
beforeAll(async () => {
  scene = await openClientele(ROWS);
  client = new pg.Client({ connectionString: scene.db.ownerUrl });
  await client.connect();
  await scene.run("validate");
});
afterAll(async () => {
  await client.end();
  await scene.close();
});

const kind = () =>
  value(scene.session, "SELECT relkind FROM pg_class WHERE oid = to_regclass('public.orders')");

test.each([
  ["cutover", "p"],
  ["rollback", "r"],
] as const)(
  "a reader with pg-cursor would be cut off by the %s, or meet the other table half way",
  async (swap, after) => {
    const before = await kind();
    const cursor = client.query(new Cursor("SELECT id FROM orders ORDER BY id"));
    const read = async (n: number) => Ids.parse(await cursor.read(n)).map(({ id }) => id);
    const ids = await read(100);
    // The names cannot be swapped while the portal is open; the swap tries, and lets the application through between.
    const refused = new Promise<void>((resolve) => {
      scene.onEvent = (event) => {
        if (event.event === "lock-try" && event.outcome === "timeout") resolve();
      };
    });
    const swapped = scene.go(swap);
    await refused;
    expect(await kind()).toBe(before);
    for (let more = await read(100); more.length > 0; more = await read(100)) ids.push(...more);
    await cursor.close();
    await swapped;
    expect(await kind()).toBe(after);
    expect(ids).toEqual(Array.from({ length: ROWS }, (_, n) => String(n + 1)));
  },
);

test("a cursor WITH HOLD that is open across both swaps would lose its place", async () => {
  const other = await openClientele(ROWS);
  const holder = new pg.Client({ connectionString: other.db.ownerUrl });
  await holder.connect();
  try {
    await holder.query("DECLARE held CURSOR WITH HOLD FOR SELECT id FROM orders ORDER BY id");
    const ids: string[] = [];
    const fetch = async (n: string) => {
      const { rows } = await holder.query(`FETCH ${n} FROM held`);
      ids.push(...Ids.parse(rows).map(({ id }) => id));
    };
    await fetch("100");
    await other.run("validate");
    await other.go("cutover");
    await fetch("100");
    await other.go("rollback");
    await fetch("ALL");
    expect(ids).toEqual(Array.from({ length: ROWS }, (_, n) => String(n + 1)));
  } finally {
    await holder.end();
    await other.close();
  }
});

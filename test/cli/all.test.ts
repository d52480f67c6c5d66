/** Several tables in one go: what was migrated stays so, what was interrupted goes on, what is refused holds up only its own. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { compareWithLedger, createOrders, startWriter } from "../../src/demo/writer.js";
import type { Session } from "../../src/pg/session.js";
import { bundleCli } from "../support/bundle.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { expectConforms } from "../support/published.js";
import { type KillProxy, startKillProxy } from "./killpoint.js";
import { objectsOf } from "./scene.js";
import { type Folder, freshFolder, jsonLines } from "./support.js";

let built: ReturnType<typeof bundleCli>;
let db: TestDatabase;
let session: Session;
let proxy: KillProxy;
let folder: Folder;

beforeAll(() => {
  built = bundleCli();
});
afterAll(() => built.remove());

const ORDERS = { schema: "public", name: "orders" };

const MONTHLY = { by: "created_at", every: "month", ahead: 1 };
const THREE = {
  events: { ...MONTHLY, priority: "low" },
  orders: { ...MONTHLY, after: ["public.customers"] },
  customers: MONTHLY,
};
const RUN = ["run", "--all", "--yes", "--json"];

function configure(tables: object, settings: object = {}): void {
  const config = { batchBlocks: 16, backup: false, holdBudget: "30s", ...settings, tables };
  writeFileSync(join(folder.dir, "partway.config.json"), JSON.stringify(config));
}

async function partitioned(): Promise<string[]> {
  const rows = await session.rows(
    z.object({ name: z.string() }),
    "SELECT relname AS name FROM pg_class WHERE relkind = 'p' ORDER BY 1",
  );
  return rows.map(({ name }) => name);
}

const Ended = z.object({ event: z.literal("all"), exitCode: z.number(), tables: z.array(z.looseObject({})) });
const endOf = (stdout: string) => Ended.parse(jsonLines(stdout).at(-1));

async function rowsOf(name: string): Promise<string> {
  const { content } = await session.one(
    z.object({ content: z.string() }),
    `SELECT format('%s rows, hash %s', count(*), sum(hashtextextended(t::text, 0))) AS content FROM public.${name} t`,
  );
  return content;
}

/** Three tables in one process after the other, several times: many connections on a busy machine. */
const LONG = { timeout: 400_000 };

describe("three tables", LONG, () => {
  beforeEach(async () => {
    db = await freshDatabase();
    session = await db.session();
    for (const name of ["customers", "orders", "events"]) {
      // More than one batch of orders, so that there is a middle of the copy.
      const rows = name === "orders" ? 3_000 : 1_000;
      await createOrders(session, { schema: "public", name, rows, months: 2 });
    }
    proxy = await startKillProxy(db.ownerUrl);
    folder = freshFolder(built.file, proxy.url(db.ownerUrl));
  });
  afterEach(async () => {
    await folder.remove();
    await proxy.stop();
    await db.drop();
  });

  test("killed in the middle, the whole would begin anew, lose a write, or forget the rest", async () => {
    configure(THREE);
    const before = { customers: await rowsOf("customers"), events: await rowsOf("events") };
    const writer = await startWriter({
      ...{ url: db.ownerUrl, table: ORDERS, clients: 2 },
      ...{ statementsPerSecond: 100, seed: 5 },
    });
    try {
      const killed = folder.start(RUN);
      const armed = proxy.arm(
        { text: /orders_partitioned[\s\S]*INSERT INTO partway\.ledger/, when: "before its commit", nth: 2 },
        () => killed.child.kill("SIGKILL"),
      );
      const { stdout: first } = await killed.ended;
      expect(armed.happened(), first).toBe(true);
      expect(await partitioned()).toEqual(["customers", "orders_partitioned"]);

      const { code, stdout, stderr } = await folder.run(RUN);
      expect(code, `${stdout}${stderr}`).toBe(0);
      for (const line of jsonLines(stdout)) expectConforms("events", line);
      const turns = jsonLines(stdout).flatMap((line) => {
        const turn = z
          .object({ event: z.literal("table"), table: z.string(), state: z.string() })
          .safeParse(line);
        return turn.success ? [`${turn.data.table} ${turn.data.state}`] : [];
      });
      expect(turns).toEqual([
        "public.customers migrated",
        "public.orders resuming",
        "public.orders migrated",
        "public.events starting",
        "public.events migrated",
      ]);
      expect(jsonLines(stdout)).toContainEqual(
        expect.objectContaining({ event: "phase", table: "public.events", phase: "cutover", status: "done" }),
      );
      // What was committed before the kill was not copied again.
      expect(jsonLines(stdout)).not.toContainEqual(
        expect.objectContaining({ event: "phase", table: "public.orders", phase: "shadow" }),
      );
    } finally {
      const report = await writer.stop();
      expect(report.errors).toEqual([]);
      expect(await compareWithLedger(session, ORDERS, report)).toMatchObject({
        equal: true,
        lost: 0,
        extra: 0,
      });
    }
    expect(await partitioned()).toEqual(["customers", "events", "orders"]);
    expect({ customers: await rowsOf("customers"), events: await rowsOf("events") }).toEqual(before);

    const left = await objectsOf(session);
    const again = await folder.run(["run", "--all", "--yes"]);
    expect(again.code, again.stderr).toBe(0);
    expect(again.stdout).toMatch(
      /^public\.orders +migrated +orders_\w+ +partway resume orders_\w+ --hold; /m,
    );
    expect(await objectsOf(session)).toEqual(left);
  });

  test("a table that is refused would stop those before it, or let those behind it begin", async () => {
    configure(THREE);
    await session.query("ALTER TABLE public.orders DROP CONSTRAINT orders_pkey");
    const planned = await folder.run(["plan", "--all"]);
    expect(planned.code, planned.stderr).toBe(3);
    expect(planned.stdout).toMatch(
      /^1\. public\.customers .*\n[\s\S]*^2\. public\.orders {2}\(priority medium; after customers\)\n[\s\S]*no-key[\s\S]*^3\. public\.events .*low[\s\S]*^Total of 2 tables .*extra disk/m,
    );
    const page = await folder.run(["plan", "--all", "--markdown"]);
    expect(page.code, page.stderr).toBe(3);
    expect(page.stdout).toMatch(
      /^# Partition 3 tables\n\n2 of 3 tables would be started;[\s\S]*\| 2 \| `public\.orders` .* refused: `no-key` \|\n[\s\S]*^## Partition `public\.customers`/m,
    );
    expect(await partitioned()).toEqual([]);

    const { code, stdout, stderr } = await folder.run(["run", "--all", "--yes"]);
    expect(code, stdout).toBe(3);
    expect(stderr).toMatch(/partway: public\.orders: public\.orders cannot be migrated[\s\S]*no-key/);
    expect(stdout).toMatch(/^public\.customers {2}\d{4}\S+Z copy done/m);
    expect(stdout).toMatch(/^public\.customers +migrated +customers_\w+ +partway resume/m);
    expect(stdout).toMatch(/^public\.orders +refused +- +\S/m);
    expect(stdout).toMatch(/^public\.events +waiting +- +partway run --all/m);
    expect(await partitioned()).toEqual(["customers"]);

    await session.query("ALTER TABLE public.orders ADD PRIMARY KEY (id)");
    const resumed = await folder.run(["resume", "--all", "--json"]);
    expect(resumed.code, `${resumed.stdout}${resumed.stderr}`).toBe(0);
    expect(endOf(resumed.stdout).tables).toMatchObject([
      { table: "public.customers", state: "migrated" },
      { table: "public.orders", state: "migrated" },
      { table: "public.events", state: "migrated" },
    ]);
  });

  test("tables that may run together would not, would be in each other's way, or would not stop together", async () => {
    const pair = { orders: { ...MONTHLY, together: true }, customers: { ...MONTHLY, together: true } };
    configure({ ...pair, events: MONTHLY });
    const stopped = folder.start(RUN);
    await Promise.all(
      ["public.orders", "public.customers"].map((table) =>
        stopped.event((line) => line.event === "phase" && line["table"] === table),
      ),
    );
    stopped.child.kill("SIGINT");
    const { code, stdout } = await stopped.ended;
    expect(code, stdout).toBe(5);
    expect(endOf(stdout).tables).toMatchObject([
      { state: "stopped", next: expect.stringMatching(/^partway resume orders_/) },
      { state: "stopped" },
      { table: "public.events", state: "waiting" },
    ]);

    const ready = await folder.run([...RUN, "--until", "validate"]);
    expect(ready.code, ready.stdout).toBe(0);
    expect(endOf(ready.stdout).tables).toMatchObject([
      { state: "rests" },
      { state: "rests" },
      { state: "rests" },
    ]);
    // Told to come less far than it is, it stays.
    const less = await folder.run([...RUN, "--until", "copy"]);
    expect(endOf(less.stdout).tables).toMatchObject([
      { state: "rests" },
      { state: "rests" },
      { state: "rests" },
    ]);
    expect(await partitioned()).not.toContain("orders");

    const through = await folder.run(RUN);
    expect(through.code, through.stdout).toBe(0);
    expect(await partitioned()).toEqual(["customers", "events", "orders"]);
  });

  test("a list with a mistake that only the server knows would be half done", async () => {
    configure({ orders: MONTHLY, ordres: MONTHLY });
    const missing = await folder.run(["run", "--all", "--yes"]);
    expect(missing.code).toBe(2);
    expect(missing.stderr).toMatch(/table ordres does not exist[\s\S]*orders/);
    configure(THREE);
    const resumed = await folder.run(["resume", "--all"]);
    expect(resumed.code).toBe(2);
    expect(resumed.stderr).toMatch(/none of the tables has begun/);
    expect(await objectsOf(session)).not.toContain("schema partway");
  });
});

describe("without a server", () => {
  beforeEach(() => {
    folder = freshFolder(built.file, "postgres://nobody@127.0.0.1:1/nothing");
  });
  afterEach(() => folder.remove());

  test.each<[string, string[], object | null, RegExp]>([
    [
      "a round",
      RUN,
      { a: { ...MONTHLY, after: ["b"] }, b: { ...MONTHLY, after: ["a"] } },
      /a after b after a/,
    ],
    ["an unknown name", RUN, { a: { ...MONTHLY, after: ["z"] } }, /tables\.a\.after: z/],
    ["a table listed twice", RUN, { a: MONTHLY, "public.a": MONTHLY }, /same table/],
    ["a table that is not cut", RUN, { a: { by: "at" } }, /tables\.a: it is not said how to cut/],
    ["no file", RUN, null, /no configuration file/],
    ["no tables", ["plan", "--all"], {}, /lists no tables/],
    ["a table named as well", ["run", "orders", "--all", "--yes"], THREE, /orders is named, and --all/],
    ["neither", ["run", "--yes"], THREE, /no table is named/],
    ["one table's option", [...RUN, "--hash", "4"], THREE, /--hash says how one table is cut/],
    ["a wish to stay", [...RUN, "--hold"], THREE, /--hold stays with one table/],
    ["a phase behind the cutover", [...RUN, "--until", "drop"], THREE, /--until drop is not for --all/],
  ])("%s would be found out only on the server", async (_what, args, tables, says) => {
    if (tables !== null) configure(tables);
    const { code, stdout, stderr } = await folder.run(args);
    expect(`${stdout}${stderr}`).toMatch(says);
    expect(code).toBe(2);
  });
});

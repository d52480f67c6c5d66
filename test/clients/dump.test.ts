/** The finished table through pg_dump into a fresh database: what comes out there is the table, catalog and rows. */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { indexCover, leavesOf, lines, rowText, shapeOf, traces } from "../migrations/shape.js";
import { freshDatabase } from "../support/database.js";
import { type Clientele, openClientele } from "./scene.js";

/** Runs one of PostgreSQL's own programs; what it wrote. Fails unless it ends with 0 and says nothing on stderr. */
async function execute(program: string, args: string[], input = ""): Promise<string> {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  child.stdout.on("data", (data: Buffer) => {
    out += data.toString();
  });
  child.stderr.on("data", (data: Buffer) => {
    err += data.toString();
  });
  child.stdin.end(input);
  const code = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (code !== 0 || err !== "") throw new Error(`${program} ended with ${code}: ${err}`);
  return out;
}

// pg_dump refuses a server newer than itself; 15 is what a distribution's package gives here.
const client = await execute("pg_dump", ["--version"]).then(
  (said) => Number(/ (\d+)\./.exec(said)?.[1]),
  () => 0,
);
const { version } = inject("server");

const missing = client < Number(version);
test.runIf(missing)(
  `no pg_dump for ${version} (apt-get install postgresql-client-${version}): not tried`,
  () => undefined,
);

const dumps = test.skipIf(missing);
let scene: Clientele;
let dir: string;
beforeAll(async () => {
  if (missing) return;
  scene = await openClientele(1_000);
  dir = await mkdtemp(join(tmpdir(), "partway-dump-"));
  await scene.session.query(`COMMENT ON TABLE public.orders IS 'what was ordered';
    CREATE INDEX newest ON public.orders (created_at DESC) INCLUDE (note) WHERE amount > 10;
    ALTER TABLE public.orders SET (fillfactor = 90)`);
  await scene.run("validate");
  await scene.go("cutover");
  await scene.go("finalize", { force: "orders" });
});
afterAll(async () => {
  if (missing) return;
  await scene.close();
  await rm(dir, { recursive: true, force: true });
});

const WAYS: Record<string, (from: string, to: string) => Promise<unknown>> = {
  "pg_dump | psql": async (from, to) =>
    execute(
      "psql",
      ["-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-1", "-d", to],
      await execute("pg_dump", ["--no-owner", "--schema=public", "--clean", "--if-exists", from]),
    ),
  "pg_dump -Fc, pg_restore, two jobs": async (from, to) => {
    const file = join(dir, "orders.dump");
    await execute("pg_dump", ["-Fc", "--no-owner", "--schema=public", "-f", file, from]);
    return execute("pg_restore", ["--no-owner", "--clean", "--if-exists", "-j", "2", "-d", to, file]);
  },
  "pg_dump --load-via-partition-root | psql": async (from, to) =>
    execute(
      "psql",
      ["-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-1", "-d", to],
      await execute("pg_dump", [
        "--load-via-partition-root",
        "--no-owner",
        "--schema=public",
        "--clean",
        "--if-exists",
        from,
      ]),
    ),
};

dumps.each(Object.keys(WAYS))("%s would not bring the table back as it is", async (way) => {
  const target = await freshDatabase();
  try {
    await WAYS[way]?.(scene.db.superuserUrl, target.superuserUrl);
    const restored = await target.session(target.superuserUrl);
    const table = "public.orders";
    // Rights and owner are left out of the dump.
    const there = new URL(target.superuserUrl).username;
    const { rights: _, sequences, ...same } = await shapeOf(scene.session, table);
    expect(await shapeOf(restored, table)).toMatchObject({
      ...same,
      sequences: sequences.map((line) => line.replaceAll(scene.db.role, there)),
    });
    const leaves = async (session: typeof restored) =>
      (await leavesOf(session, table))
        .map(({ name, bound, options }) => ({ name, bound, options }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    expect(await leaves(restored)).toEqual(await leaves(scene.session));
    expect(await indexCover(restored, table)).toEqual({ short: [], extra: [] });
    expect(await traces(restored)).toEqual([]);
    const all = `SELECT ${await rowText(scene.session, table)} AS line FROM ${table} AS t ORDER BY 1`;
    const rows = await lines(scene.session, all);
    expect(rows.length).toBe(1_000);
    expect(await lines(restored, all)).toEqual(rows);
    // The next id is a new one.
    const made =
      "INSERT INTO public.orders (note, amount, created_at) VALUES ('x', 1, '2025-02-02') RETURNING id::text AS line";
    expect(Number((await lines(restored, made))[0])).toBeGreaterThan(1_000);
  } finally {
    await target.drop();
  }
});

dumps("pg_dump -t orders would still bring the rows", async () => {
  const dumped = async (...tables: string[]) =>
    (
      await execute("pg_dump", [
        "--data-only",
        ...tables.flatMap((table) => ["-t", table]),
        scene.db.ownerUrl,
      ])
    ).match(/^\d+\told \d+\t/gm)?.length ?? 0;
  expect(await dumped("public.orders")).toBe(0);
  expect(await dumped("public.orders", "public.orders_*")).toBe(1_000);
});

import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import { z } from "zod";
import { writeCopy } from "../../src/backup/copy.js";
import { makeBackup } from "../../src/backup/make.js";
import { dumpTable } from "../../src/backup/pgdump.js";
import { restoreBackup } from "../../src/backup/restore.js";
import { SNAPSHOT_SQL } from "../../src/backup/sql.js";
import { findTools, type Tools } from "../../src/backup/tools.js";
import { Session } from "../../src/pg/session.js";
import { backup } from "../../src/phases/backup.js";
import {
  type Bench,
  backupBy,
  bench,
  changeManifest,
  faultOf,
  makeRichTable,
  manifestOf,
  methods,
  planFor,
  plantByte,
  RICH_TABLE,
  toolsFor,
  workshop,
} from "../backup/support.js";

const shop = workshop();
const { version } = inject("server");
const usable = await methods(version);

/** The rich table, a bench for it, and where its backup goes. */
async function ready() {
  const session = await shop.db().session();
  await makeRichTable(session);
  const plan = await planFor(session, RICH_TABLE);
  const root = join(shop.dir(), "backups");
  return { session, plan, root, dir: join(root, plan.id), url: shop.db().ownerUrl };
}

const messages = ({ events }: Bench) =>
  events.flatMap((event) => (event.event === "log" ? [event.message] : []));

async function runPhase(on: Bench): Promise<void> {
  try {
    await backup.run(on.context);
  } finally {
    await on.close();
  }
}

test("a run without a backup directory would fail, or not say that there is no backup", async () => {
  const { plan, url } = await ready();
  const on = bench(plan, url, null);
  await runPhase(on);
  expect(messages(on)).toEqual(["no backup, as asked"]);
  await backup.undo(on.context);
});

test("the backup would be readable by others, incomplete, or not restorable", async () => {
  const { plan, root, dir, url } = await ready();
  const on = bench(plan, url, root);
  await runPhase(on);
  const manifest = await manifestOf(dir);
  expect(manifest).toMatchObject({ method: usable[0], migration: plan.id, rows: 5001, encoding: "UTF8" });
  expect(String(manifest.serverVersion)).toMatch(new RegExp(`^${version}`));
  expect((await readdir(dir)).sort()).toEqual([manifest.file, "manifest.json"]);
  expect((await stat(dir)).mode & 0o777).toBe(0o700);
  for (const name of await readdir(dir)) expect((await stat(join(dir, name))).mode & 0o777).toBe(0o600);
  expect(on.events.at(-1)).toEqual({
    event: "backup",
    method: usable[0],
    bytes: manifest.bytes,
    rows: 5001,
    path: join(dir, manifest.file),
    done: true,
  });
  expect(await restoreBackup({ dir, target: shop.target() })).toMatchObject({ rows: 5001, equal: true });
});

test("an empty table could not be backed up", async () => {
  const { session, plan, root, dir, url } = await ready();
  await session.query(`TRUNCATE ${RICH_TABLE}`);
  for (const method of usable) {
    expect(await backupBy(method, plan, url, join(root, method))).toMatchObject({ rows: 0, hash: "0" });
    expect(await restoreBackup({ dir: join(root, method), target: shop.target() })).toMatchObject({
      rows: 0,
    });
  }
  expect(existsSync(dir)).toBe(false);
});

test.each(usable)("writes during the backup would make data and hash disagree (%s)", async (method) => {
  const { session, plan, root, url } = await ready();
  let writing = true;
  const writer = (async () => {
    for (let i = 0; writing; i++) {
      await session.query(`INSERT INTO ${RICH_TABLE} (amount) VALUES ($1)`, [i]);
      await session.query(`DELETE FROM ${RICH_TABLE} WHERE amount = $1`, [i - 5]);
    }
  })();
  const manifest = await backupBy(method, plan, url, join(root, method)).finally(() => {
    writing = false;
    return writer;
  });
  expect(await restoreBackup({ dir: join(root, method), target: shop.target() })).toMatchObject({
    rows: manifest.rows,
    equal: true,
  });
});

test("a finished backup would be made again, or a damaged one kept, when a run goes on", async () => {
  const { plan, root, dir, url } = await ready();
  await runPhase(bench(plan, url, root));
  const first = await manifestOf(dir);
  const again = bench(plan, url, root);
  await runPhase(again);
  expect(await manifestOf(dir)).toEqual(first);
  expect(messages(again)).toEqual([expect.stringContaining("complete and intact")]);
  await plantByte(join(dir, first.file));
  const damaged = bench(plan, url, root);
  await runPhase(damaged);
  expect(messages(damaged)).toEqual([expect.stringContaining("made again")]);
  expect((await manifestOf(dir)).snapshotAt > first.snapshotAt).toBe(true);
  expect(await restoreBackup({ dir, target: shop.target() })).toMatchObject({ equal: true });
});

test("what an interrupted backup left would be taken for a backup, or stay for ever", async () => {
  const { plan, root, dir, url } = await ready();
  const left = [
    "data.dump",
    "data.copy.gz",
    "data.dump.partial",
    "data.copy.gz.partial",
    "manifest.json.partial",
  ];
  const leave = async () => {
    await mkdir(dir, { recursive: true });
    for (const name of [...left, "the operator's notes.txt"]) await writeFile(join(dir, name), "half");
  };
  await leave();
  const on = bench(plan, url, root);
  await backup.undo(on.context);
  expect(await readdir(dir)).toEqual(["the operator's notes.txt"]);
  await leave();
  await runPhase(on);
  const manifest = await manifestOf(dir);
  const finished = [manifest.file, "manifest.json", "the operator's notes.txt"];
  expect((await readdir(dir)).sort()).toEqual(finished);
  await writeFile(join(dir, "data.dump.partial"), "half");
  await backup.undo(on.context);
  expect((await readdir(dir)).sort()).toEqual(finished);
  expect(await restoreBackup({ dir, target: shop.target() })).toMatchObject({ equal: true });
});

const Waiting = z.object({ n: z.coerce.number() });

test("stopping a backup would hang, or leave a file that looks like one", async () => {
  const { session, plan, root, dir, url } = await ready();
  await session.begin();
  await session.query(`LOCK TABLE ${RICH_TABLE} IN ACCESS EXCLUSIVE MODE`);
  const on = bench(plan, url, root);
  const running = faultOf(runPhase(on));
  const watcher = await shop.db().session();
  for (let waiting = 0; waiting === 0; )
    waiting = (
      await watcher.one(
        Waiting,
        "SELECT count(*)::text AS n FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
      )
    ).n;
  on.abort.abort(new Error("the operator"));
  expect(await running).toMatchObject({ kind: "stopped", exitCode: 5, next: `partway resume ${plan.id}` });
  expect(
    await watcher.one(
      Waiting,
      "SELECT count(*)::text AS n FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    ),
  ).toEqual({
    n: 0,
  });
  expect(await readdir(dir)).toEqual([]);
  await session.rollback();
  await runPhase(bench(plan, url, root));
  expect(await restoreBackup({ dir, target: shop.target() })).toMatchObject({ equal: true });
});

test("stopping in the middle of COPY would hang or leave its backend running", async () => {
  const { session, dir } = await ready();
  await mkdir(dir, { recursive: true });
  const reader = await shop.db().session();
  const abort = new AbortController();
  const writing = writeCopy({
    session: reader,
    sql: `COPY (SELECT repeat('x', 1000), generate_series(1, 1000000000)) TO STDOUT`,
    path: join(dir, "endless"),
    signal: abort.signal,
    onProgress: () => abort.abort(),
  });
  await expect(writing).rejects.toThrow("abort");
  expect(reader.lost).toBe(true);
  for (let running = 1; running > 0; )
    running = (
      await session.one(Waiting, "SELECT count(*)::text AS n FROM pg_stat_activity WHERE pid = $1", [
        reader.pid,
      ])
    ).n;
});

test("a server that goes away in the middle would be reported as a finished backup", async () => {
  const { session, dir } = await ready();
  await mkdir(dir, { recursive: true });
  const reader = await shop.db().session();
  let killed: Promise<unknown> | null = null;
  const writing = writeCopy({
    session: reader,
    sql: `COPY (SELECT repeat('x', 1000), generate_series(1, 1000000000)) TO STDOUT`,
    path: join(dir, "cut"),
    signal: new AbortController().signal,
    onProgress: () => {
      killed ??= session.query("SELECT pg_terminate_backend($1::int)", [reader.pid]);
    },
  });
  await expect(writing).rejects.toThrow(/terminat/);
  await killed;
});

test("a full disk would give a stack trace or a truncated backup", async () => {
  const { plan, url } = await ready();
  const on = bench(plan, url, null);
  const session = await on.context.open();
  const signal = on.abort.signal;
  // /dev/full: the kernel answers every write with ENOSPC.
  const copied = await faultOf(
    writeCopy({
      session,
      sql: `COPY ${RICH_TABLE} TO STDOUT`,
      path: "/dev/full",
      signal,
      onProgress: () => undefined,
    }),
  );
  expect(copied).toMatchObject({
    kind: "refused",
    exitCode: 3,
    message: expect.stringContaining("no space left"),
  });
  const tools = await toolsFor(version);
  if (tools !== null) {
    const holder = await on.context.open();
    await holder.begin({ isolation: "repeatable read" });
    const { snapshot } = await holder.one(z.object({ snapshot: z.string() }), SNAPSHOT_SQL);
    const { target } = on.context;
    const dumped = await faultOf(
      dumpTable({ tools, target, table: plan.source, snapshot, encoding: "UTF8", path: "/dev/full", signal }),
    );
    expect(dumped).toMatchObject({ kind: "refused", message: expect.stringContaining("no space left") });
  }
  await on.close();
});

test("a directory that cannot be written to would not be named", async () => {
  const { plan, root, url } = await ready();
  await writeFile(root, "a file, not a directory");
  const fault = await faultOf(runPhase(bench(plan, url, root)));
  expect(fault).toMatchObject({ exitCode: 2, message: expect.stringContaining(root) });
  expect(fault.next).toContain("--backup");
});

test("somebody else's backup or file would be overwritten", async () => {
  const { plan, root, dir, url } = await ready();
  await runPhase(bench(plan, url, root));
  await changeManifest(dir, { migration: "other_000000" });
  expect(await faultOf(runPhase(bench(plan, url, root)))).toMatchObject({ kind: "refused" });
  await writeFile(join(dir, "manifest.json"), '{"name": "a web page"}');
  expect(await faultOf(runPhase(bench(plan, url, root)))).toMatchObject({ exitCode: 2 });
  expect(await readFile(join(dir, "manifest.json"), "utf8")).toBe('{"name": "a web page"}');
});

/** A pg_dump that does `script` in place of, or around, the real one ($REAL). */
async function fakeTools(script: string): Promise<Tools | null> {
  const real = await toolsFor(version);
  if (real === null) return null;
  const bin = join(shop.dir(), "bin");
  await mkdir(bin);
  const answer = `[ "$1" = --version ] && exec ${real.dump} --version\n`;
  await writeFile(join(bin, "pg_dump"), `#!/bin/sh\nREAL=${real.dump}\n${answer}${script}\n`);
  await writeFile(join(bin, "pg_restore"), `#!/bin/sh\nexec ${real.restore} "$@"\n`);
  for (const name of await readdir(bin)) await chmod(join(bin, name), 0o755);
  return findTools(Number(version), [bin]);
}

async function runWith(tools: Tools, on: Bench, dir: string): Promise<unknown> {
  const { plan, target, signal, open, emit } = on.context;
  return makeBackup({ plan, target, dir, tools, signal, open, emit }).finally(() => on.close());
}

const FILE_OF = 'for a in "$@"; do case "$a" in --file=*) f=$(echo "$a" | cut -c8-);; esac; done';

test.runIf(usable.includes("pg_dump"))(
  "a password would stand in pg_dump's arguments, the manifest or an event",
  async () => {
    const { plan, root, dir, url } = await ready();
    const tools = await fakeTools(
      `echo "$@" > ${shop.dir()}/arguments; echo "$PGPASSWORD" > ${shop.dir()}/env; exec $REAL "$@"`,
    );
    if (tools === null) throw new Error("no pg_dump");
    const on = bench(plan, url, root);
    await runWith(tools, on, dir);
    const password = new URL(url).password;
    expect((await readFile(join(shop.dir(), "env"), "utf8")).trim()).toBe(password);
    expect(await readFile(join(shop.dir(), "arguments"), "utf8")).not.toContain(password);
    expect(await readFile(join(dir, "manifest.json"), "utf8")).not.toContain(password);
    expect(JSON.stringify(on.events)).not.toContain(password);
  },
);

test.runIf(usable.includes("pg_dump"))(
  "a dump that is missing, empty or cut short would pass for a backup",
  async () => {
    const { plan, root, dir, url } = await ready();
    for (const script of [
      "exit 0",
      `${FILE_OF}; : > "$f"`,
      `${FILE_OF}; $REAL "$@" && truncate -s -2000 "$f"`,
      'case "$*" in *Odd*) exec $REAL --schema-only "$@";; esac',
      "echo 'pg_dump: error: it broke' >&2; exit 1",
    ]) {
      const tools = await fakeTools(script);
      if (tools === null) throw new Error("no pg_dump");
      const fault = await faultOf(runWith(tools, bench(plan, url, root), dir));
      expect([script, fault.exitCode]).toEqual([script, 1]);
      expect(await readdir(dir)).toEqual([]);
      await rm(join(shop.dir(), "bin"), { recursive: true });
    }
  },
);

test.runIf(usable.includes("pg_dump"))(
  "a backup would hang behind someone who waits for an exclusive lock",
  async () => {
    const { plan, root, dir, url } = await ready();
    // The waiter arrives after Partway has its lock and before pg_dump asks for its own.
    const waiter = await shop.db().session();
    const tools = await fakeTools(
      `mkfifo ${shop.dir()}/go; touch ${shop.dir()}/started; read go < ${shop.dir()}/go; exec $REAL "$@"`,
    );
    if (tools === null) throw new Error("no pg_dump");
    const on = bench(plan, url, root);
    const running = faultOf(runWith(tools, on, dir));
    const watcher = await shop.db().session();
    while (!existsSync(join(shop.dir(), "started"))) await watcher.query("SELECT 1");
    await waiter.begin();
    const locked = waiter.query(`LOCK TABLE ${RICH_TABLE} IN ACCESS EXCLUSIVE MODE`);
    for (let waiting = 0; waiting === 0; )
      waiting = (
        await watcher.one(
          Waiting,
          "SELECT count(*)::text AS n FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
      ).n;
    await writeFile(join(shop.dir(), "go"), "go\n");
    expect(await running).toMatchObject({ kind: "lock-busy", exitCode: 6 });
    await locked;
    await waiter.rollback();
    expect(await readdir(dir)).toEqual([]);
  },
);

test("plan would print other statements than the backup runs", async () => {
  const { session, plan } = await ready();
  const statements = backup.sql(plan).map(({ sql }) => sql.replace("'$1'", "'UTF8'"));
  expect(statements.map((sql) => sql.split(" ")[0]?.trim())).toEqual(["LOCK", "SELECT", "SELECT", "COPY"]);
  await session.begin({ isolation: "repeatable read", readOnly: true });
  for (const sql of statements.slice(0, 3)) await session.query(sql);
  await session.rollback();
  const other = await Session.open(shop.target());
  let rows = 0;
  for await (const chunk of other.copyOut(statements[3] ?? ""))
    rows += chunk.toString().split("\n").length - 1;
  await other.end();
  expect(rows).toBe(5001);
});

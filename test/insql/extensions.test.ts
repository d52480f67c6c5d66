/** pg_cron and pg_partman as Debian packages them (postgresql-15-cron, postgresql-15-partman), on Debian's own server. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { z } from "zod";
import { writePolicy } from "../../src/care/store.js";
import type { PartitionPolicy } from "../../src/config/schema.js";
import { handover, installSql, uninstallSql } from "../../src/in-database.js";
import type { Session } from "../../src/pg/session.js";
import { asAdmin, type TestDatabase } from "../support/database.js";
import { type Debian, missingFor, startDebian } from "../support/debian.js";
import { adoptAs, installOn, leavesOf, oidOf } from "./scene.js";

const missing = missingFor("pg_cron", "pg_partman");
const skipped = missing.length > 0 || inject("server").version !== "15";
const why = missing.length > 0 ? ` (skipped: apt-get install ${missing.join(" ")})` : "";

const Text = z.object({ text: z.string().nullable() });
const texts = async (session: Session, sql: string) =>
  (await session.rows(Text, sql)).map(({ text }) => text);

/** Monthly leaves in UTC around now, named by `template`. */
const tableSql = (name: string, leaf: string) => `
CREATE TABLE public.${name} (at timestamptz NOT NULL, note text) PARTITION BY RANGE (at);
CREATE INDEX ON public.${name} (note);
DO $$
DECLARE month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC') - interval '3 months';
BEGIN
  FOR i IN 0..4 LOOP
    EXECUTE format('CREATE TABLE public.%I PARTITION OF public.${name} FOR VALUES FROM (%L) TO (%L)',
      '${name}' || to_char(month, '${leaf}'), month || '+00', (month + interval '1 month') || '+00');
    month := month + interval '1 month';
  END LOOP;
END $$;
INSERT INTO public.${name} VALUES (now(), 'now'), (now() - interval '85 days', 'old')`;

describe.skipIf(skipped)(`pg_cron and pg_partman${why}`, () => {
  let server: Debian;
  beforeAll(async () => {
    server = await startDebian(
      "shared_preload_libraries=pg_cron",
      "cron.use_background_workers=on",
      "max_worker_processes=20",
      "TimeZone=UTC",
    );
  });
  afterAll(() => server.stop());

  describe("pg_cron", () => {
    let db: TestDatabase;
    let other: TestDatabase;
    let admin: Session;
    beforeAll(async () => {
      [db, other] = [await server.database(), await server.database()];
      admin = await db.session(server.superuserUrl);
      const owner = await db.session();
      for (const sql of tableSql("orders", "_YYYY_MM").split(/;\n(?=CREATE|DO|INSERT)/))
        await owner.query(sql);
      await installOn(owner);
      await adoptAs(owner, "public", "orders", { ahead: 3, retention: "2mo", expired: "drop" });
    });
    afterAll(async () => {
      // Its grants would hold on to the roles.
      await admin.query("DROP EXTENSION pg_cron");
      await other.drop();
      await db.drop();
    });
    const jobs = (command = "command") =>
      texts(
        admin,
        `SELECT concat_ws(' | ', jobname, schedule, ${command}, database, username) AS text FROM cron.job ORDER BY jobid`,
      );

    test("is not there: what to do is said, and nothing is done", async () => {
      await expect(installSql({ url: other.ownerUrl, cron: true })).rejects.toMatchObject({
        kind: "refused",
        message: expect.stringMatching(/pg_cron is not installed in database postgres/),
        next: expect.stringMatching(/CREATE EXTENSION pg_cron in database postgres/),
      });
      const url = new URL(other.superuserUrl);
      expect(
        await asAdmin(url.href, (one) => texts(one, "SELECT to_regnamespace('partway')::text AS text")),
      ).toEqual([null]);
    });

    test("would get a job twice, or another database's overwritten, and a right that is missing is named", async () => {
      await admin.query("CREATE EXTENSION pg_cron SCHEMA pg_catalog");
      await expect(installSql({ url: db.ownerUrl, cron: true })).rejects.toMatchObject({
        kind: "refused",
        state: expect.stringMatching(/functions are installed; none of the jobs/),
        next: expect.stringMatching(/GRANT USAGE ON SCHEMA cron/),
      });
      for (const { role } of [db, other]) {
        await admin.query(`GRANT USAGE ON SCHEMA cron TO ${role}`);
        await admin.query(
          `GRANT EXECUTE ON FUNCTION cron.schedule_in_database(text, text, text, text, text, boolean) TO ${role}`,
        );
      }
      const of = ({ name, role }: TestDatabase) => `${name} | ${role}`;
      // The documents' own job of that name, which would call what is not there.
      await asAdmin(new URL("/postgres", db.ownerUrl).href, (owner) =>
        owner.query(
          "SELECT cron.schedule_in_database('create-monthly-partitions', '0 2 1 * *', 'SELECT create_future_partitions(3);', $1)",
          [db.name],
        ),
      );
      const first = await installSql({ url: db.ownerUrl, cron: true });
      expect(first.jobs.map(({ replaced }) => replaced)).toEqual([
        "SELECT create_future_partitions(3);",
        null,
        null,
      ]);
      await installSql({ url: db.ownerUrl, cron: true, apply: true });
      const mine = [
        `create-monthly-partitions | 0 2 * * * | SELECT * FROM partway.maintain_partitions() | ${of(db)}`,
        `cleanup-old-partitions | 0 3 * * * | SELECT * FROM partway.cleanup_old_partitions(false) | ${of(db)}`,
        `partition-health-check | 0 4 * * * | SELECT partway.assert_partition_health() | ${of(db)}`,
      ];
      expect(await jobs()).toEqual(mine);
      // The same role in another database: the names are taken.
      const url = new URL(server.superuserUrl);
      for (const name of [db.name, other.name]) {
        url.pathname = `/${name}`;
        await installSql({ url: url.href, cron: true });
        await installSql({ url: url.href, cron: true });
      }
      const all = await jobs("''");
      expect(all).toHaveLength(9);
      expect(all.slice(6).every((job) => job?.includes(` in ${other.name} | `))).toBe(true);
      url.pathname = `/${other.name}`;
      expect((await uninstallSql({ url: url.href })).jobs).toHaveLength(3);
      url.pathname = `/${db.name}`;
      await asAdmin(server.superuserUrl, (one) =>
        one.query("SELECT cron.unschedule(jobid) FROM cron.job WHERE username = 'postgres'"),
      );
      expect(await jobs()).toEqual(mine);
    });

    test("would go on after they are taken away, or start again what somebody has switched off", async () => {
      const owner = await db.session();
      const before = await leavesOf(owner, await oidOf(owner, "public", "orders"));
      for (const command of await texts(
        admin,
        "SELECT command AS text FROM cron.job WHERE jobname <> 'partition-health-check'",
      ))
        await owner.query(command ?? "");
      const after = await leavesOf(owner, await oidOf(owner, "public", "orders"));
      expect(after.some((leaf) => !before.includes(leaf))).toBe(true);
      expect(before.filter((leaf) => !after.includes(leaf))).toHaveLength(1);
      await admin.query("UPDATE cron.job SET active = false");
      await installSql({ url: db.ownerUrl, cron: true, apply: true });
      expect(await texts(admin, "SELECT DISTINCT active::text AS text FROM cron.job")).toEqual(["false"]);
      const removed = await uninstallSql({ url: db.ownerUrl });
      expect(removed).toMatchObject({
        ...{
          jobs: ["create-monthly-partitions", "cleanup-old-partitions", "partition-health-check"],
          note: null,
        },
      });
      expect(await jobs()).toEqual([]);
      expect(await texts(owner, "SELECT note AS text FROM public.orders WHERE note = 'now'")).toEqual([
        "now",
      ]);
    });

    // pg_cron looks at its jobs once a minute.
    test.runIf(process.env["PARTWAY_TEST_FULL"] === "1")(
      "runs them, and a table that is not well makes its job fail",
      async () => {
        await installSql({ url: db.ownerUrl, cron: true });
        const owner = await db.session();
        // As their owner, in its database.
        await admin.query("UPDATE cron.job SET schedule = '* * * * *'");
        const Done = z.object({ name: z.string(), status: z.string(), message: z.string().nullable() });
        const done = async () =>
          admin.rows(
            Done,
            `SELECT j.jobname AS name, d.status, d.return_message AS message FROM cron.job_run_details d JOIN cron.job j USING (jobid)
            WHERE d.status IN ('succeeded', 'failed') ORDER BY d.end_time`,
          );
        await expect
          .poll(async () => new Set((await done()).map(({ name }) => name)).size, {
            timeout: 100_000,
            interval: 1000,
          })
          .toBe(3);
        const all = await done();
        expect(all.find(({ name }) => name === "create-monthly-partitions")).toMatchObject({
          status: "succeeded",
        });
        await owner.query(
          "UPDATE partway.partition_config SET ahead = 0, thresholds = '{\"minLeaves\": 50}'",
        );
        const failed = async () =>
          (await done())
            .filter(({ status }) => status === "failed")
            .map(({ message }) => message)
            .join("\n");
        await expect.poll(failed, { timeout: 100_000, interval: 1000 }).toMatch(/Too few partitions/);
        await uninstallSql({ url: db.ownerUrl });
      },
      300_000,
    );
  });

  describe("pg_partman", () => {
    let db: TestDatabase;
    let admin: Session;
    beforeAll(async () => {
      db = await server.database();
      admin = await db.session(db.superuserUrl);
      await installOn(admin);
    });
    afterAll(() => db.drop());

    async function prepare(name: string, leaf: string, policy: PartitionPolicy): Promise<string> {
      for (const sql of tableSql(name, leaf).split(/;\n(?=CREATE|DO|INSERT)/)) await admin.query(sql);
      return adoptAs(admin, "public", name, policy);
    }
    const options = (table: string) => ({ url: db.superuserUrl, table });
    const enabled = (oid: string) =>
      texts(
        admin,
        `SELECT enabled::text AS text FROM partway.partition_config WHERE table_name = ${oid}::oid::regclass`,
      );

    test("is not there, or knows the leaves by other names: nothing is done", async () => {
      const oid = await prepare("named", "_YYYY_MM", { ahead: 3 });
      await expect(handover({ ...options("named"), apply: true })).rejects.toMatchObject({
        kind: "refused",
        next: expect.stringMatching(/CREATE EXTENSION pg_partman/),
      });
      await admin.query("CREATE SCHEMA partman");
      await admin.query("CREATE EXTENSION pg_partman SCHEMA partman");
      const refused = handover({ ...options("named"), apply: true });
      await expect(refused).rejects.toMatchObject({
        kind: "refused",
        message: expect.stringMatching(/5 of "public"."named"/),
      });
      const error = await refused.then(
        () => null,
        (reason: unknown) => reason,
      );
      const { next } = z.object({ next: z.string() }).parse(error);
      expect(await enabled(oid)).toEqual(["true"]);
      // What it says to type is what mends it.
      for (const sql of next.split(": ").slice(1).join(": ").split("; ")) await admin.query(sql);
      expect((await handover(options("named"))).applied).toBe(false);
      expect(await texts(admin, "SELECT count(*)::text AS text FROM partman.part_config")).toEqual(["0"]);
    });

    test("would be given a table whose leaves it then makes twice, drops too early, or shares with Partway", async () => {
      const oid = await prepare("tended", '_"p"YYYY_MM', {
        ahead: 4,
        retention: "2mo",
        expired: "detach",
        leaf: "{table}_p{YYYY}_{MM}",
      });
      const before = await leavesOf(admin, oid);
      const report = await handover({ ...options("tended"), apply: true });
      expect(report).toMatchObject({
        applied: true,
        version: "4.7.2",
        row: { interval: "1 mon", premake: 4, retention: "2 months", retentionKeepTable: true },
      });
      expect(await enabled(oid)).toEqual(["false"]);
      expect(await leavesOf(admin, oid)).toEqual(before);
      await expect(handover({ ...options("tended"), apply: true })).rejects.toMatchObject({
        kind: "refused",
      });
      // What Partway would make and retire at this moment, and what pg_partman does.
      await admin.query("UPDATE partway.partition_config SET enabled = true");
      const Row = z.object({ result: z.string(), partition_name: z.string() });
      const wanted = await admin.rows(
        Row,
        "SELECT result, partition_name FROM partway.run_partition_maintenance('tended') WHERE result LIKE 'Would %t%ch partition%' OR result LIKE 'Would create%'",
      );
      const names = (word: string) =>
        wanted.filter(({ result }) => result.startsWith(`Would ${word}`)).map((row) => row.partition_name);
      await admin.query("UPDATE partway.partition_config SET enabled = false");
      await admin.query("SELECT partman.run_maintenance('public.tended')");
      const after = (await leavesOf(admin, oid)).map((leaf) => leaf.split(" ")[0]);
      const had = before.map((leaf) => leaf.split(" ")[0]);
      const made = after.filter((name) => !had.includes(name));
      // Late in an interval it rounds up: one leaf more, never one less.
      expect(made.slice(0, names("create").length)).toEqual(names("create"));
      expect(made.length).toBeLessThanOrEqual(names("create").length + 1);
      expect(made[0]).toBe(report.nextLeaf);
      expect(had.filter((name) => !after.includes(name))).toEqual(names("detach"));
      // Kept as a table, with its row.
      expect(await texts(admin, `SELECT count(*)::text AS text FROM public.${names("detach")[0]}`)).toEqual([
        "0",
      ]);
      // And back: what it made is on Partway's grid.
      expect(await handover({ ...options("tended"), undo: true })).toMatchObject({ applied: false });
      await handover({ ...options("tended"), undo: true, apply: true });
      expect(await enabled(oid)).toEqual(["true"]);
      expect(await texts(admin, "SELECT count(*)::text AS text FROM partman.part_config")).toEqual(["0"]);
      expect(
        await texts(admin, "SELECT result AS text FROM partway.create_future_partitions('tended')"),
      ).toEqual([]);
    });

    test("would take away what was brought back from an archive, or is on its way into one", async () => {
      const oid = await prepare("kept", '_"p"YYYY_MM', {
        ...{ ahead: 1, retention: "1mo", expired: "archive", archive: { to: "/var/archive" } },
        leaf: "{table}_p{YYYY}_{MM}",
      });
      const [back = "", open = ""] = (await leavesOf(admin, oid)).map((leaf) => leaf.split(" ")[0] ?? "");
      for (const [leaf, restored] of [
        [back, "leaf"],
        [open, "NULL::oid"],
      ])
        await admin.query(
          `INSERT INTO partway.partition_archive (id, table_name, leaf, leaf_schema, leaf_name, bound, settings, dropped_at, restored_as)
           SELECT $1, 'public.kept', leaf, 'public', $1, '', '{"to": "/var/archive"}', CASE WHEN restored IS NOT NULL THEN now() END, restored
             FROM (SELECT leaf, ${restored} AS restored FROM (SELECT to_regclass('public.' || $1)::oid AS leaf) AS l) AS one`,
          [leaf ?? ""],
        );
      await expect(handover({ ...options("kept"), apply: true })).rejects.toMatchObject({
        kind: "refused",
        message: expect.stringMatching(
          new RegExp(`back from an archive or the cold, .*: ${back}; .*under way: ${open}$`),
        ),
      });
      expect(await enabled(oid)).toEqual(["true"]);
      await admin.query("DELETE FROM partway.partition_archive");
      expect((await handover(options("kept"))).notes).toContainEqual(
        expect.stringMatching(/nothing is archived any more/),
      );
    });

    test("by numbers", async () => {
      await admin.query("CREATE TABLE public.counted (id bigint NOT NULL) PARTITION BY RANGE (id)");
      await admin.query(
        "CREATE TABLE public.counted_p0 PARTITION OF public.counted FOR VALUES FROM (0) TO (1000)",
      );
      await admin.query("INSERT INTO public.counted VALUES (500)");
      const oid = await oidOf(admin, "public", "counted");
      await writePolicy(admin, oid, { step: "1000", ahead: 2 });
      const { nextLeaf } = await handover({ ...options("counted"), apply: true });
      await admin.query("SELECT partman.run_maintenance('public.counted')");
      const leaves = (await leavesOf(admin, oid)).map((leaf) => leaf.split(" ")[0]);
      expect(leaves).toEqual(["counted_p0", "counted_p1000", "counted_p2000"]);
      expect(leaves[1]).toBe(nextLeaf);
    });
  });
});

/** A change of status is told once, and is not lost when nobody could be told. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { tellHealth } from "../../src/care.js";
import { watchHealth } from "../../src/care-watch.js";
import { EXIT } from "../../src/errors.js";
import { freshFolder } from "../cli/support.js";
import { bundleCli } from "../support/bundle.js";
import { openScene, type Scene } from "./scene.js";

let scene: Scene;
let dir: string;
beforeEach(async () => {
  scene = await openScene({ ahead: 2 });
  dir = mkdtempSync(join(tmpdir(), "partway-tell-"));
});
afterEach(async () => {
  await scene.db.drop();
  rmSync(dir, { recursive: true, force: true });
});

const IN_TIME = "2026-01-15 02:00:00";
const TOO_LATE = "2026-01-30 02:00:00";
const Body = z.object({ table: z.string(), before: z.string().nullable(), status: z.string() });

test("a change would be told at every cron run, or lost because the command failed", async () => {
  const log = join(dir, "log");
  const tell = (now: string, end = "") =>
    tellHealth({
      ...{ url: scene.db.ownerUrl, now },
      onChange: `printf '%s %s %s\\n' "$PARTWAY_TABLE" "$PARTWAY_STATUS_BEFORE" "$PARTWAY_STATUS" >> '${log}'${end}`,
    });
  await scene.maintain("careful", IN_TIME);
  const first = await tell(IN_TIME);
  expect(first.reports).toMatchObject([{ status: "HEALTHY" }]);
  expect(first.changes).toMatchObject([{ before: null, status: "HEALTHY", told: [] }]);
  expect((await tell(IN_TIME)).changes).toEqual([]);
  const late = "2026-03-30 02:00:00";
  const failing = await tell(late, "; echo oops; false");
  expect(failing.changes).toMatchObject([
    { before: "HEALTHY", status: "CRITICAL", told: [{ ok: false, how: "exit code 1: oops" }] },
  ]);
  expect((await tell(late)).changes).toMatchObject([{ told: [{ ok: true }] }]);
  expect((await tell(late)).changes).toEqual([]);
  expect((await tell(IN_TIME)).changes).toMatchObject([{ before: "CRITICAL", status: "HEALTHY" }]);
  const line = '"public"."orders" HEALTHY CRITICAL\n';
  expect(readFileSync(log, "utf8")).toBe(`${line}${line}"public"."orders" CRITICAL HEALTHY\n`);
});

/** What it was sent; answers with `status`. */
async function listen(
  status: number,
): Promise<{ server: Server; url: string; got: { body: string; headers: IncomingHttpHeaders }[] }> {
  const got: { body: string; headers: IncomingHttpHeaders }[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on("end", () => {
      got.push({ body, headers: request.headers });
      response.writeHead(status, { location: "/elsewhere" }).end("secret answer");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return { server, got, url: `http://robot:p%40ss@127.0.0.1:${address.port}/services/T0KEN?key=abc` };
}

test("a webhook's address would be printed, a redirect followed, or a change told to nobody", async () => {
  const tell = (webhook: string) => tellHealth({ url: scene.db.ownerUrl, now: TOO_LATE, webhook });
  const elsewhere = await listen(302);
  const [moved] = (await tell(elsewhere.url)).changes;
  expect(moved?.told).toMatchObject([{ ok: false, how: "a redirect (302), which is not followed" }]);
  expect(elsewhere.got).toHaveLength(1);
  elsewhere.server.close();
  const [refused] = (await tell(elsewhere.url)).changes;
  expect(refused?.told[0]).toMatchObject({ ok: false, how: expect.stringContaining("ECONNREFUSED") });
  expect(JSON.stringify([moved, refused])).not.toMatch(/T0KEN|p@ss|p%40ss|abc/);
  const there = await listen(200);
  process.env["PARTWAY_TEST_WEBHOOK"] = there.url;
  expect((await tell("env:PARTWAY_TEST_WEBHOOK")).changes).toMatchObject([
    { told: [{ ok: true, how: "status 200" }] },
  ]);
  delete process.env["PARTWAY_TEST_WEBHOOK"];
  expect((await tell(there.url)).changes).toEqual([]);
  there.server.close();
  expect(there.got).toHaveLength(1);
  const [{ body, headers } = { body: "", headers: {} }] = there.got;
  expect(Body.parse(JSON.parse(body))).toEqual({
    table: '"public"."orders"',
    before: null,
    status: "CRITICAL",
  });
  expect(headers.authorization).toBe(`Basic ${Buffer.from("robot:p@ss").toString("base64")}`);
  await expect(tell("env:PARTWAY_TEST_WEBHOOK")).rejects.toMatchObject({ kind: "bad-input" });
  await expect(tell("ftp://host/T0KEN")).rejects.toMatchObject({
    kind: "bad-input",
    message: expect.not.stringContaining("T0KEN"),
  });
});

test("a watcher would end when the server is away for a moment", async () => {
  const leaving = new AbortController();
  const looks: {
    tables: number;
    trouble: string | null;
    status: string | undefined;
    missing: string | null | undefined;
  }[] = [];
  const admin = await scene.db.session(scene.db.superuserUrl);
  await watchHealth({
    ...{ url: scene.db.ownerUrl, now: IN_TIME, everyMs: 20, signal: leaving.signal },
    onLook: ({ tables, trouble }, reports) => {
      looks.push({
        tables: tables.length,
        trouble,
        status: reports[0]?.status,
        missing: tables[0]?.missingFrom,
      });
      if (looks.length === 1)
        void admin.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = $1",
          [scene.db.role],
        );
      if (trouble === null && looks.some((one) => one.trouble !== null)) leaving.abort();
    },
  });
  expect(looks[0]).toEqual({
    tables: 1,
    trouble: null,
    status: "WARNING",
    missing: "2026-02-01 00:00:00+00",
  });
  expect(looks.find(({ trouble }) => trouble !== null)).toMatchObject({ tables: 1, status: "WARNING" });
  expect(looks.at(-1)?.trouble).toBeNull();
});

test("a watcher in a pipe would repeat what it has said, or keep a change to itself", async () => {
  const built = bundleCli();
  const folder = freshFolder(built.file, scene.db.ownerUrl);
  const watcher = folder.start(["health", "orders", "--watch", "--json"]);
  const Said = z.object({ status: z.string(), findings: z.array(z.object({ code: z.string() })) });
  const lines: z.infer<typeof Said>[] = [];
  const { stdout } = watcher.child;
  if (stdout === null) throw new Error("the process has no pipes");
  createInterface({ input: stdout }).on("line", (line) => lines.push(Said.parse(JSON.parse(line))));
  await expect.poll(() => lines.length, { timeout: 20_000 }).toBe(1);
  // At once, or a look in between would say how many leaves there are now.
  await scene.session.tx(async () => {
    await scene.session.query("CREATE TABLE public.rest PARTITION OF public.orders DEFAULT");
    await scene.session.query("INSERT INTO public.orders (at, note) VALUES ('2031-01-01', 'astray')");
  });
  await expect.poll(() => lines.length, { timeout: 20_000 }).toBe(2);
  watcher.child.kill("SIGINT");
  const { code, stderr } = await watcher.ended;
  expect({ code, stderr }).toEqual({ code: EXIT.unhealthy, stderr: "" });
  const codes = lines.map(({ findings }) => findings.some((one) => one.code === "default-not-empty"));
  expect(codes).toEqual([false, true]);
  await folder.remove();
  built.remove();
});

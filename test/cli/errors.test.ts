/** What an operator reads when something is not right: what happened, the state, what to type; and nothing touched. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createOrders } from "../../src/demo/writer.js";
import { ident, literal } from "../../src/pg/quote.js";
import type { Session } from "../../src/pg/session.js";
import { bundleCli } from "../support/bundle.js";
import { asAdmin, freshDatabase, type TestDatabase } from "../support/database.js";
import { contentOf, definitionOf } from "./catalog.js";
import { type Ended, type Folder, freshFolder, jsonLines } from "./support.js";

let built: ReturnType<typeof bundleCli>;
beforeAll(() => {
  built = bundleCli();
});
afterAll(() => built.remove());

let db: TestDatabase;
let session: Session;
let folder: Folder;
const BY = ["--by", "created_at", "--every", "month"];
const ONLY = [...BY, "--yes", "--no-backup", "--no-hold"];
const PASSWORD = "n0t-the-passw0rd/ever";

/** A role that may log in and owns nothing; roles belong to the server, so its name is the database's own. */
const plain = () => `plain_${db.name}`;

async function prepare(): Promise<void> {
  db = await freshDatabase();
  session = await db.session();
  await createOrders(session, { schema: "public", name: "orders", rows: 500, months: 2 });
  folder = freshFolder(built.file, db.ownerUrl);
}

async function tidy(): Promise<void> {
  await folder.remove();
  await db.drop();
}

/** Every file below the folder, with its bytes as text. */
function filesIn(dir: string): [name: string, content: string][] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => [file, readFileSync(file, "latin1")]);
}

const namesIn = (dir: string) => readdirSync(dir, { recursive: true }).map(String).sort();

const fingerprint = async () => [...(await definitionOf(session)), await contentOf(session)];

/** Three lines: what, state, next; nothing on stdout, no stack trace. */
function expectExplained(ended: Ended, code: number, ...says: RegExp[]): void {
  expect(ended.stderr).toMatch(/^partway: [^\n]+[\s\S]*\n {2}state: \S.*\n {2}next: {2}\S.*\n$/);
  expect(ended.stderr).not.toMatch(/\n\s+at .*:\d+:\d+/);
  expect(ended.stdout).toBe("");
  for (const text of says) expect(ended.stderr).toMatch(text);
  expect(ended.code).toBe(code);
}

describe("before there is a migration", () => {
  beforeAll(async () => {
    await prepare();
    await session.query(
      "CREATE TABLE public.prices (id int); CREATE VIEW public.prices_now AS SELECT * FROM public.prices",
    );
    await asAdmin(db.superuserUrl, async (admin) => {
      await admin.query(`CREATE ROLE ${ident(plain())} LOGIN PASSWORD ${literal(PASSWORD)}`);
      await admin.query(`GRANT USAGE, CREATE ON SCHEMA public TO ${ident(plain())}`);
      await admin.query(`GRANT SELECT ON public.orders TO ${ident(plain())}`);
      await admin.query("CREATE TABLE public.mine (id int PRIMARY KEY, created_at date NOT NULL)");
      await admin.query(`ALTER TABLE public.mine OWNER TO ${ident(plain())}`);
    });
  });
  afterAll(async () => {
    await asAdmin(db.superuserUrl, async (admin) => {
      await admin.query(`DROP OWNED BY ${ident(plain())} CASCADE`);
      await admin.query(`DROP ROLE ${ident(plain())}`);
    });
    await tidy();
  });

  interface Case {
    args: string[];
    code: number;
    says: RegExp[];
    /** Files in the folder. */
    files?: Record<string, string>;
    url?: (url: URL) => void;
  }

  const asPlain = (url: URL) => {
    url.username = plain();
    url.password = PASSWORD;
  };
  const cases: Record<string, Case> = {
    "a table that is not there": {
      args: ["run", "order", ...ONLY],
      code: 2,
      says: [/order/, /orders/],
    },
    "a column that is not there": {
      args: ["run", "orders", "--by", "createdat", "--every", "month", "--yes"],
      code: 2,
      says: [/createdat/, /created_at/],
    },
    "a view": { args: ["run", "prices_now", "--by", "id", "--hash", "4", "--yes"], code: 3, says: [/view/] },
    "a configuration file that cannot be read": {
      args: ["run", "orders", ...ONLY],
      files: { "partway.config.json": "{ workers: " },
      code: 2,
      says: [/partway\.config\.json/],
    },
    "a configuration key that does not exist": {
      args: ["run", "orders", ...ONLY],
      files: { "partway.config.json": '{ "wokers": 3 }' },
      code: 2,
      says: [/partway\.config\.json/, /wokers/],
    },
    "a server that is not there": {
      args: ["run", "orders", ...ONLY],
      url: (url) => {
        url.port = "1";
      },
      code: 2,
      says: [/cannot reach/, /ECONNREFUSED/],
    },
    "a wrong password": {
      args: ["run", "orders", ...ONLY],
      url: (url) => {
        url.password = PASSWORD;
      },
      code: 2,
      says: [/refused the user or password/],
    },
    "a role that does not own the table": {
      args: ["run", "orders", ...ONLY],
      url: asPlain,
      code: 3,
      says: [/not-owner/, /GRANT .* TO /],
    },
    "a role that may not create a schema": {
      args: ["run", "mine", ...ONLY],
      url: asPlain,
      code: 3,
      says: [/no-create-in-database/, /GRANT CREATE ON DATABASE/],
    },
    "a state directory that cannot be made": {
      args: ["run", "orders", ...ONLY, "--state", "occupied/state"],
      files: { occupied: "a file" },
      code: 2,
      says: [/occupied\/state/],
    },
    "an empty state directory's name": {
      args: ["run", "orders", ...ONLY, "--state", ""],
      code: 2,
      says: [/--state/],
    },
    "two ways to cut the table": {
      args: ["run", "orders", ...ONLY, "--hash", "4"],
      code: 2,
      says: [/--every and --hash exclude each other/],
    },
    "an interval that is none": {
      args: ["run", "orders", "--by", "created_at", "--every", "fortnight", "--yes"],
      code: 2,
      says: [/fortnight/, /month/],
    },
    "a disk that is too small for it": {
      args: ["run", "orders", ...ONLY, "--free-disk", "100kB"],
      code: 3,
      says: [/disk-too-small/, /100 kB are free by --free-disk/, /remedy: Make room for \d/],
    },
    "a disk that the configuration file says is too small": {
      args: ["run", "orders", ...ONLY, "--no-sample"],
      files: { "partway.config.json": '{ "freeDisk": "100kB" }' },
      code: 3,
      says: [/disk-too-small/],
    },
    "a free space that is none": {
      args: ["run", "orders", ...ONLY, "--free-disk", "much"],
      code: 2,
      says: [/--free-disk: "much" is no number of bytes/, /--free-disk 50GB/],
    },
    "no terminal to ask at": {
      args: ["run", "orders", ...BY],
      code: 2,
      says: [/no terminal/, /--yes/],
    },
    "a resume where nothing was ever started": {
      args: ["resume"],
      code: 2,
      says: [/no journal at .*\.partway/],
    },
    "an abort where nothing was ever started": { args: ["abort"], code: 2, says: [/no journal at/] },
    "a list where nothing was ever started": { args: ["list"], code: 2, says: [/no journal at/] },
    "a number of workers that is none": { args: ["verify", "--workers", "x"], code: 2, says: [/--workers/] },
  };

  // What one case put into the folder must not be the next one's surprise.
  afterEach(() => {
    for (const name of namesIn(folder.dir)) rmSync(join(folder.dir, name), { recursive: true });
  });

  test.each(Object.entries(cases))("%s would be hard to understand, or leave traces", async (_name, c) => {
    for (const [name, content] of Object.entries(c.files ?? {}))
      writeFileSync(join(folder.dir, name), content);
    const url = new URL(db.ownerUrl);
    c.url?.(url);
    const [files, before] = [namesIn(folder.dir), await fingerprint()];
    const ended = await folder.run(c.args, { DATABASE_URL: url.href });
    expectExplained(ended, c.code, ...c.says);
    expect(await fingerprint()).toEqual(before);
    expect(namesIn(folder.dir)).toEqual(files);
    expect(ended.stderr).not.toContain(PASSWORD);
  });

  test.each([
    "run orders",
    "run orders --evry month",
    "nonsense",
    "run",
    "run orders --by created_at --every month --until lunch",
  ])("a command mistyped as %s would not end with exit code 2 and a hint", async (typed) => {
    const ended = await folder.run(typed.split(" "));
    expect(ended.code).toBe(2);
    expect(ended.stderr).not.toBe("");
    expect(namesIn(folder.dir)).toEqual([]);
  });
});

describe("the journal", () => {
  beforeEach(prepare);
  afterEach(tidy);

  const journal = () => join(folder.dir, ".partway", "journal.db");

  test.each(["run", "resume", "status", "list", "abort"])(
    "`partway %s` would overwrite a damaged journal, or work without it",
    async (command) => {
      mkdirSync(join(folder.dir, ".partway"));
      writeFileSync(journal(), `SQLite format 3\0${"x".repeat(5000)}`);
      const [content, before] = [readFileSync(journal(), "latin1"), await fingerprint()];
      const args = command === "run" ? ["run", "orders", ...ONLY] : [command];
      expectExplained(await folder.run(args), 2, /journal\.db/, /Nothing was overwritten/);
      expect(readFileSync(journal(), "latin1")).toBe(content);
      expect(await fingerprint()).toEqual(before);
    },
  );

  test("another program's SQLite file would be written to", async () => {
    mkdirSync(join(folder.dir, ".partway"));
    const other = new Database(journal());
    other.exec("CREATE TABLE theirs (a int)");
    other.close();
    const [content, before] = [readFileSync(journal(), "latin1"), await fingerprint()];
    expectExplained(await folder.run(["run", "orders", ...ONLY]), 2, /not a Partway journal/);
    expect(readFileSync(journal(), "latin1")).toBe(content);
    expect(await fingerprint()).toEqual(before);
  });
});

describe("while there is a migration", () => {
  let id: string;
  beforeEach(async () => {
    await prepare();
  });
  afterEach(tidy);

  async function migrate(...more: string[]): Promise<void> {
    const ended = await folder.run(["run", "orders", ...ONLY, "--json", ...more]);
    expect(ended.code, ended.stdout).toBe(0);
    const listed = await folder.run(["list", "--json"]);
    const [{ migrations }] = jsonLines(listed.stdout) as [{ migrations: [{ id: string }] }];
    id = migrations[0].id;
  }

  /** The command is refused and changes nothing in the database; the epoch counts too. */
  async function refused(code: number, args: string[], ...says: RegExp[]): Promise<void> {
    const row = "SELECT m::text AS row FROM partway.migration m";
    const before = [...(await fingerprint()), JSON.stringify((await session.query(row)).rows)];
    const status = (await folder.run(["list", "--json"])).stdout;
    expectExplained(await folder.run(args), code, ...says);
    expect([...(await fingerprint()), JSON.stringify((await session.query(row)).rows)]).toEqual(before);
    expect((await folder.run(["list", "--json"])).stdout).toBe(status);
  }

  test("what is not possible before cutover would do something", async () => {
    await migrate("--until", "shadow");
    await refused(2, ["resume", "orders_000000"], /no migration orders_000000/, new RegExp(id));
    await refused(2, ["rollback"], new RegExp(`${id} stands at copy`), new RegExp(`partway abort ${id}`));
    await refused(2, ["finalize"], /finalize is not possible/, new RegExp(`partway resume ${id}`));
    await refused(2, ["cutover"], /cutover is not possible/, new RegExp(`partway resume ${id}`));
    await refused(3, ["run", "orders", ...ONLY], /already-migrating/, new RegExp(`partway resume ${id}`));
    const { password } = new URL(db.ownerUrl);
    for (const [file, content] of filesIn(folder.dir)) expect(content, file).not.toContain(password);
  });

  test("what is not possible after cutover would do something", async () => {
    await migrate("--keep", "1h");
    await refused(2, ["abort"], /stands at retain/, new RegExp(`partway rollback ${id}`));
    await refused(2, ["finalize", "--force", "order"], /not the table's name/);
    const before = await definitionOf(session);
    expectStopped(await folder.run(["finalize"]), 3, /retention window .* open until/, /--force orders/);
    expect(await definitionOf(session)).toEqual(before);
    expect((await folder.run(["status"])).stdout).toMatch(/rollback is safe/);
  });

  test("several open migrations would leave it to chance which one is meant", async () => {
    await session.query("CREATE TABLE public.notes (id int PRIMARY KEY, created_at date NOT NULL)");
    await migrate("--until", "shadow");
    const second = await folder.run(["run", "notes", ...ONLY, "--until", "shadow"]);
    expect(second.code, second.stderr).toBe(0);
    await refused(2, ["resume"], /several migrations are open: notes_\w+, orders_\w+|orders_\w+, notes_\w+/);
  });

  test("a second process would run the same migration at the same time", async () => {
    const first = folder.start([
      "run",
      "orders",
      ...ONLY.slice(0, -1),
      "--hold",
      "--until",
      "validate",
      "--json",
    ]);
    const { migration } = await first.event(({ event }) => event === "ready");
    const second = await folder.run(["resume"]);
    expectExplained(
      second,
      3,
      new RegExp(`migration ${String(migration)} is being run by process ${first.child.pid} on `),
      /--takeover/,
    );
    const elsewhere = await folder.run(["run", "orders", ...ONLY, "--state", "other"]);
    expectExplained(elsewhere, 3, new RegExp(`already belongs to migration ${String(migration)}`));
    expect(namesIn(folder.dir)).not.toContain("other");
    first.child.kill("SIGINT");
    expect((await first.ended).code).toBe(5);
  });
});

/** The same for a command that had begun: its progress is on stdout. */
function expectStopped(ended: Ended, code: number, ...says: RegExp[]): void {
  expectExplained({ ...ended, stdout: "" }, code, ...says);
}

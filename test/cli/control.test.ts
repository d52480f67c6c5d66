/** A run that is driven from other terminals alone: every command a process of its own. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { createOrders } from "../../src/demo/writer.js";
import { bundleCli } from "../support/bundle.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { type Folder, freshFolder, type Line } from "./support.js";

let built: ReturnType<typeof bundleCli>;
let db: TestDatabase;
let folder: Folder;

beforeAll(async () => {
  built = bundleCli();
  db = await freshDatabase();
  await createOrders(await db.session(), { schema: "public", name: "orders", rows: 500, months: 2 });
  folder = freshFolder(built.file, db.ownerUrl);
});
afterAll(async () => {
  await folder.remove();
  await db.drop();
  built.remove();
});

const Status = z.looseObject({ view: z.looseObject({ throttle: z.number(), postponed: z.boolean() }) });
const is = (event: string, facts: Record<string, unknown> = {}) => {
  return (line: Line) =>
    line.event === event && Object.entries(facts).every(([name, value]) => line[name] === value);
};
const says = async (args: string[], code: number, text: RegExp) => {
  const ended = await folder.run(args);
  expect(ended.stdout + ended.stderr).toMatch(text);
  expect(ended.code).toBe(code);
};

test("a run could not be paused, slowed, held back, stopped, cut over and rolled back from elsewhere", async () => {
  const run = ["run", "orders", "--by", "created_at", "--every", "month", "--ahead", "1", "--no-backup"];
  const first = folder.start([...run, "--yes", "--json", "--hold", "--postpone", "--on-hangup", "continue"]);
  const { migration } = await first.event(is("ready"));
  const id = z.string().parse(migration);

  // The terminal is gone, and the run goes on.
  first.child.kill("SIGHUP");
  await says(["pause"], 0, /paused: what is in hand/);
  await first.event(is("paused"));
  await says(["throttle", "50"], 0, /it works 50 % of the time/);
  await says(["continue", id], 0, /it goes on/);
  await first.event(is("continued"));
  await says(["stop", "--json"], 0, /"command":"stop","message":"stopped by the operator during ready/);
  expect((await first.ended).code).toBe(5);
  await says(["pause"], 3, new RegExp(`no process runs ${id}[\\s\\S]*partway resume ${id}`));

  // What was asked outlives the process; this one stops when its terminal goes.
  const second = folder.start(["resume", "--json", "--hold", "--on-hangup", "stop"]);
  await second.event(is("ready"));
  const { stdout } = await folder.run(["status", "--json"]);
  expect(Status.parse(JSON.parse(stdout)).view).toMatchObject({ throttle: 50, postponed: true });
  second.child.kill("SIGHUP");
  expect((await second.ended).code).toBe(5);

  const third = folder.start(["resume", "--json", "--hold"]);
  await third.event(is("ready"));
  const watching = folder.start(["watch", "--json"]);
  await says(["postpone", "--off"], 0, /allowed/);
  await watching.event(is("cutover", { direction: "forward" }));
  await watching.event(is("window"));
  await says(["postpone"], 3, /postpone is not possible while the run is at retain/);
  await says(["throttle", "off"], 0, /full speed/);
  await says(["rollback", id], 0, /is the old table again/);
  expect((await third.ended).code).toBe(0);
  await watching.event(is("finished", { outcome: "rolled-back" }));
  expect((await watching.ended).code).toBe(0);
}, 120_000);

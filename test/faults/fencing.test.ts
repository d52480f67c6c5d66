/**
 * A process that is stopped (SIGSTOP: a sleeping laptop, a frozen virtual machine), taken over, and woken up: in every
 * phase it writes nothing more, neither in the database nor in the journal, and says why it ends.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { Journal } from "../../state/journal.js";
import { freeze } from "../cli/freeze.js";
import type { KillPoint } from "../cli/killpoint.js";
import { objectsOf, openScene, RUN, type Scene } from "../cli/scene.js";
import { type Ended, type Folder, jsonLines, type Started } from "../cli/support.js";

let scene: Scene;
let untouched: string[];
/** Everything that was sent through the proxy since it was last emptied: only the zombie goes through it then. */
let sent: string[];
beforeAll(async () => {
  scene = await openScene(3_000);
  untouched = await objectsOf(scene.session);
  scene.proxy.onSent((text) => sent.push(text));
  sent = [];
});
afterAll(() => scene.close());

const START = [...RUN, "--no-backup"];
const direct = () => ({ DATABASE_URL: scene.db.ownerUrl });

const journalOf = ({ dir }: Folder) => `${dir}/.partway/journal.db`;

/** Starts `partway <args>` and stops the process when `point` comes. */
async function stoppedAt(args: readonly string[], point: KillPoint): Promise<Started> {
  const zombie = scene.folder.start(args);
  const armed = scene.proxy.arm(point, () => freeze(zombie.child, journalOf(scene.folder)));
  const early: string[] = [];
  void zombie.ended.then(({ code, stdout, stderr }) => early.push(`ended with ${code}: ${stdout}${stderr}`));
  await expect.poll(() => armed.happened() || early.length > 0, { timeout: 90_000, interval: 10 }).toBe(true);
  expect(early).toEqual([]);
  return zombie;
}

/** Types `partway <args>` in `folder`, around the proxy, and expects that it ends well. */
async function takeOver(folder: Folder, ...args: string[]): Promise<void> {
  const { code, stdout, stderr } = await folder.run([...args, "--json"], direct());
  expect(code, stdout + stderr).toBe(0);
}

/** The migration a process with --json tells of. Named, because the folder may know of others that are open. */
function migrationOf({ stdout }: Ended): string {
  return z.object({ migration: z.string() }).parse(jsonLines(stdout).at(-1)).migration;
}

/** Where the migrations stand by the journal of the zombie's folder, with who drives them, and what happened. */
function recorded(): unknown {
  const journal = Journal.open(journalOf(scene.folder), "read");
  try {
    return journal
      .migrations()
      .map((m) => [m, journal.transitions(m.id), journal.batches(m.id, 1), journal.events(m.id)]);
  } finally {
    journal.close();
  }
}

/** Changes something, or ends a transaction that did. The bump of the epoch finds a higher one and changes nothing. */
const WRITES =
  /\b(INSERT INTO|UPDATE (?!partway\.migration SET epoch = epoch \+ 1)|DELETE FROM|TRUNCATE|CREATE |ALTER |DROP |VACUUM|COMMIT\b|setval)/;

/** Is a message a write? Behind its header, and without string literals: the verdict compares definitions as text. */
const writes = (message: string): boolean => WRITES.test(message.slice(5).replace(/'[^']*'/g, "''"));

/** Lets the zombie go on. `sameJournal`: the one that took over writes the journal it had. */
async function wake(zombie: Started, sameJournal: boolean): Promise<Ended> {
  const before = recorded();
  sent = [];
  zombie.child.kill("SIGCONT");
  const ended = await zombie.ended;
  expect(ended.code, ended.stdout + ended.stderr).toBe(1);
  expect(jsonLines(ended.stdout).at(-1)).toMatchObject({
    ...{ event: "stopped", kind: "fenced", exitCode: 1 },
    what: expect.stringMatching(/^another Partway process has taken over migration (orders|notes)_/),
    state: "This process wrote nothing since; the other one goes on.",
    next: expect.stringMatching(/^partway status (orders|notes)_/),
  });
  expect(sent.filter(writes)).toEqual([]);
  if (sameJournal) expect(recorded()).toEqual(before);
  return ended;
}

/** Losing a machine: the journal is rebuilt elsewhere, and that folder goes on. */
async function fromElsewhere(...args: string[]): Promise<Folder> {
  const other = scene.otherFolder();
  await takeOver(other, "recover");
  await takeOver(other, ...args);
  return other;
}

const at = (text: RegExp, nth = 1): KillPoint => ({ text, when: "at", nth });

describe("until the application is on the new table", () => {
  test("a zombie of the copy would write its batch again", async () => {
    const zombie = await stoppedAt(START, at(/INSERT INTO partway\.ledger/, 2));
    const refused = await scene.folder.run(["resume"], direct());
    expect(refused.code).toBe(3);
    expect(refused.stderr).toMatch(/is being run by process \d+ on [\s\S]*--takeover/);
    await takeOver(scene.folder, "resume", "--takeover", "--until", "copy");
    await wake(zombie, true);
  });

  test("a zombie of the index builds would build under the hands of one in another folder", async () => {
    const zombie = await stoppedAt(
      ["resume", "--no-hold", "--json"],
      at(/ALTER TABLE \S+ ADD CONSTRAINT|CREATE INDEX/),
    );
    const other = scene.otherFolder();
    await takeOver(other, "recover");
    const refused = await other.run(["resume"]);
    expect(refused.code).toBe(3);
    expect(refused.stderr).toMatch(/is being run by another Partway process \(backend \d+ .*--takeover/s);
    await takeOver(other, "resume", "--takeover", "--until", "index");
    await wake(zombie, false);
  });

  test("a zombie of the catch-up would forget changes that another has not applied", async () => {
    const zombie = await stoppedAt(
      ["resume", "--until", "validate", "--hold", "--json"],
      at(/apply_forward_forget/),
    );
    await takeOver(scene.folder, "resume", "--takeover", "--until", "validate");
    await wake(zombie, true);
  });

  test("a zombie of the validation would call the copy proven that another is still filling", async () => {
    await scene.session.query("UPDATE partway.migration SET phase = 'validate'");
    const zombie = await stoppedAt(["resume", "--until", "validate", "--json"], at(/hash_record_extended/));
    await takeOver(scene.folder, "resume", "--takeover", "--until", "validate");
    await wake(zombie, true);
  });

  test("a process that stops inside the cutover's lock would keep the application out, and swap when it wakes", async () => {
    const zombie = await stoppedAt(["cutover", "--json"], at(/RENAME TO/));
    // Nobody has taken over yet: the server lets the application go on after the hold budget.
    await scene.written(200);
    await takeOver(scene.folder, "cutover", "--takeover");
    await wake(zombie, true);
    expect((await scene.partway(["status", "--json"])).stdout).toContain('"rollbackSafe":true');
  });
});

describe("after cutover", () => {
  test("a zombie of the window would apply backwards what another has applied", async () => {
    const zombie = await stoppedAt(["resume", "--hold", "--json"], at(/apply_reverse_forget/));
    await takeOver(scene.folder, "resume", "--takeover", "--no-hold");
    await wake(zombie, true);
  });

  test("a zombie of the rollback would swap the names under another's rollback", async () => {
    const zombie = await stoppedAt(["rollback", "--json"], at(/RENAME TO/));
    await fromElsewhere("rollback", "--takeover");
    await wake(zombie, false);
    expect(
      (await objectsOf(scene.session)).filter((line) => !/failed|partitioned_id_seq/.test(line)),
    ).toEqual(untouched);
    await scene.proveNothingLost();
    // The folder of the zombie did not hear of the end; whoever asks for it there is told that it has come.
    await takeOver(scene.folder, "rollback");
  });

  test("a zombie of the drop would drop what has come after it", async () => {
    const ran = await scene.folder.run([...START], direct());
    expect(ran.code, ran.stdout).toBe(0);
    const id = migrationOf(ran);
    const zombie = await stoppedAt(
      ["finalize", id, "--force", "orders", "--json"],
      at(/DROP TABLE "public"\."orders_retired"/),
    );
    await takeOver(scene.folder, "resume", id, "--takeover");
    await wake(zombie, true);
    await scene.proveNothingLost();
  });
});

test("a zombie of the abort would take away what a new migration has made", async () => {
  const name = "public.notes";
  await scene.session.query(
    `CREATE TABLE ${name} (id int PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now())`,
  );
  const run = ["run", "notes", ...START.slice(2)];
  const ran = await scene.folder.run([...run, "--until", "index"], direct());
  expect(ran.code, ran.stdout).toBe(0);
  const id = migrationOf(ran);
  const zombie = await stoppedAt(["abort", id, "--json"], at(/DROP TRIGGER/));
  await takeOver(scene.folder, "abort", id, "--takeover");
  const again = await scene.folder.run([...run, "--until", "validate"], direct());
  expect(again.code, again.stdout).toBe(0);
  await wake(zombie, true);
  await takeOver(scene.folder, "cutover", migrationOf(again));
});

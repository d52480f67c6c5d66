import { expect, test, vi } from "vitest";
import { event, show, started, UNTIL_RETAINED, UNTIL_VALIDATED, windowEvent } from "./support.js";

const COPYING = UNTIL_VALIDATED.slice(0, 6);
const IN_WINDOW = [...UNTIL_RETAINED, windowEvent(110, true, "rollback is safe, 3 keys behind")];

test("rollback needs the table's name: anything else, or Esc, sends nothing", async () => {
  const screen = await show(IN_WINDOW, 170);
  screen.type("r");
  await screen.until("Type public.orders and press Enter");
  screen.type("public.order");
  await screen.until("> public.order");
  screen.type("\r");
  await screen.until("That is not the table's name.");
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                              orders_3f9a1c  2m 50s
    PostgreSQL 18.1, database shop on db.internal:5432
    The application is on the new table; rollback is safe (3 keys behind).

    ✔ backup    done       9.0s  copied     5,000,123 rows, 600 of 600 batches
    ✔ shadow    done       0.4s  validation equal, 5,000,123 rows, 12 pending
    ✔ copy      done     1m 00s  cutover    held 61 ms, worst stall 70 ms, 3 tries
    ✔ index     done        30s  window     23h 58m left, to 2026-07-02 10:01 UTC
    ✔ validate  done       5.0s  rollback   safe, 3 keys behind
    ✔ cutover   done       0.9s
    ▶ retain    running  1m 04s
    · drop      waiting

    Roll back: the application returns to the original table. No write is lost; 3
    keys to apply first.
    Type public.orders and press Enter. Esc cancels.
    > public.order▏




    That is not the table's name.
    Enter roll back   Esc cancel   Ctrl-C quit safely"
  `);
  screen.type("\u001b");
  await screen.until("Rollback cancelled.");
  expect(screen.commands).toEqual([]);
});

test("rollback is sent once the table's name has been typed, mended and entered", async () => {
  const screen = await show(IN_WINDOW, 170);
  screen.type("r");
  await screen.until("Type public.orders");
  screen.type("public.ordersq");
  await screen.until("> public.ordersq");
  screen.type("\u007f");
  await screen.until("> public.orders▏");
  expect(screen.commands).toEqual([]);
  screen.type("\r");
  await screen.until("Rollback asked for.");
  expect(screen.commands).toEqual(["rollback"]);
});

test("backspaces that arrive in one read would erase one letter, or none", async () => {
  const screen = await show(IN_WINDOW, 170);
  screen.type("r");
  await screen.until("Type public.orders and press Enter");
  screen.type("orders");
  await screen.until("> orders");
  screen.type("\u007F\u007F\u007F\u007F\u007F\u007F");
  await screen.until("> ▏");
  screen.type("publik\u007Fc.orders");
  await screen.until("> public.orders");
});

test("a pasted line end does not confirm a rollback", async () => {
  const screen = await show(IN_WINDOW, 170);
  screen.type("r");
  await screen.until("Type public.orders");
  screen.type("public.orders\r");
  await screen.until("> public.orders▏");
  expect(screen.commands).toEqual([]);
});

test("a verdict that turns while the name is being typed stops the rollback", async () => {
  const screen = await show(IN_WINDOW, 170);
  screen.type("r");
  await screen.until("Type public.orders");
  screen.type("public.orders");
  await screen.until("> public.orders▏");
  screen.push(windowEvent(171, false, "a leaf was dropped"));
  screen.type("\r");
  await screen.until("Rollback is not possible any more");
  expect(screen.commands).toEqual([]);
});

test("an unsafe rollback cannot be asked for", async () => {
  const screen = await show([...UNTIL_RETAINED, windowEvent(110, false, "a leaf was dropped")], 170);
  screen.type("r");
  await screen.until("Rollback is not safe now; see above.");
  expect(screen.commands).toEqual([]);
});

test("c cuts over only when the run is ready", async () => {
  const screen = await show(UNTIL_VALIDATED, 106);
  screen.type("c");
  await screen.until("Not ready for cutover yet.");
  expect(screen.commands).toEqual([]);
  screen.push(event(107, { event: "ready", message: "Ready." }));
  await screen.until("c cut over now");
  screen.type("c");
  await screen.until("Cutover asked for.");
  expect(screen.commands).toEqual(["cutover"]);
});

test("p pauses, and continues what is paused", async () => {
  const screen = await show(COPYING, 20);
  screen.type("p");
  await screen.until("Pausing at the next safe point.");
  screen.push(event(21, { event: "paused" }));
  await screen.until("p continue");
  expect(screen.frame()).not.toContain("Pausing");
  screen.type("p");
  await vi.waitUntil(() => screen.commands.length === 2);
  screen.push(event(22, { event: "continued" }));
  await screen.until("p pause");
  expect(screen.commands).toEqual(["pause", "continue"]);
});

test("o postpones the cutover and allows it, until it has begun", async () => {
  const screen = await show(COPYING, 20);
  screen.type("o");
  await screen.until("Postponing the cutover.");
  screen.push(event(21, { event: "postponed", on: true }));
  await screen.until("no cutover until it is allowed");
  screen.type("o");
  await screen.until("Allowing the cutover.");
  screen.push(event(22, { event: "postponed", on: false }));
  screen.push(started(23, "cutover"));
  screen.type("o");
  await screen.until("The cutover cannot be postponed any more.");
  expect(screen.commands).toEqual(["postpone", "allow"]);
});

test("- and + change the pace, and the screen says which it is", async () => {
  const screen = await show(COPYING, 20);
  screen.type("-");
  await vi.waitUntil(() => screen.commands.length === 1);
  screen.push(event(21, { event: "throttle", percent: 75 }));
  await screen.until("works 75 % of the time");
  screen.type("+");
  await vi.waitUntil(() => screen.commands.length === 2);
  screen.push(event(22, { event: "throttle", percent: 100 }));
  await screen.until("At full speed");
  expect(screen.frame()).not.toMatch(/throttle +works/);
  expect(screen.commands).toEqual(["slower", "faster"]);
});

test("d goes on without this terminal; at a watched run it only says that q leaves", async () => {
  const own = await show(COPYING, 20);
  own.type("d");
  await own.until("Going on without this terminal");
  expect(own.commands).toEqual(["detach"]);
  const watched = await show(COPYING, 20, 80, 24, undefined, { watching: true });
  watched.type("d");
  await watched.until("q leaves it");
  expect(watched.commands).toEqual([]);
});

test("a paused run that is detached would be set going again", async () => {
  const screen = await show([...COPYING, event(19, { event: "paused" })], 20);
  screen.type("d");
  await screen.until("It is paused: continue it first (p), then d.");
  screen.push(event(21, { event: "continued" }));
  await screen.until("p pause");
  screen.type("p");
  await screen.until("Pausing at the next safe point.");
  screen.type("d");
  await screen.until("It is paused: continue it first (p), then d.");
  expect(screen.commands).toEqual(["pause"]);
});

test.each(["q", "\u0003"])("a watcher who leaves (%j) would stop the run", async (key) => {
  const screen = await show(COPYING, 20, 80, 24, undefined, { watching: true });
  await screen.until("q leave; the run goes on");
  screen.type("?");
  await screen.until("To stop it: partway stop orders_3f9a1c");
  screen.type(key);
  await vi.waitUntil(() => screen.left());
  expect(screen.commands).toEqual([]);
});

test("a command that was refused would look as if it had been obeyed", async () => {
  const screen = await show(COPYING, 20, 80, 24, undefined, { answer: "process 7 refuses: not now" });
  screen.type("p");
  await screen.until("process 7 refuses: not now");
  expect(screen.frame()).not.toContain("Pausing");
});

test("Ctrl-C asks for a safe stop, and leaves only when pressed again", async () => {
  const screen = await show(COPYING, 20);
  screen.type("\u0003");
  await screen.until("Stopping at the next safe point");
  expect(screen.commands).toEqual(["stop"]);
  expect(screen.left()).toBe(false);
  screen.type("\u0003");
  await vi.waitUntil(() => screen.left());
  expect(screen.commands).toEqual(["stop"]);
});

test("Ctrl-C stops even while a table's name is being typed, where q is a letter", async () => {
  const screen = await show(IN_WINDOW, 170);
  screen.type("r");
  await screen.until("Type public.orders");
  screen.type("q");
  await screen.until("> q");
  expect(screen.commands).toEqual([]);
  screen.type("\u0003");
  await screen.until("Stopping");
  expect(screen.commands).toEqual(["stop"]);
});

test("? explains every key and glyph", async () => {
  const screen = await show(COPYING, 20);
  screen.type("?");
  await screen.until("close help");
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                                 orders_3f9a1c  20s
    PostgreSQL 18.1, database shop on db.internal:5432
    The source is untouched; the application is using it. Quit any time: the run
    resumes.

    q, Ctrl-C  quit safely, the run resumes; Ctrl-C twice leaves at once
    p          pause or continue; the application is not affected
    - +   o    slower, faster: it rests between batches; postpone or allow cutover
    c          cut over now, when the run says it is ready
    r          roll back, in the retention window; asks for the table's name
    l          the messages take the lower part of the screen, and give it back
    arrows     look at one partition or part: what is known of it; Esc ends that
    d          go on without this terminal
    ✔ done  ▶ running  · waiting  ‖ paused or stopped  ✘ failed  - not run here








    q quit safely   p pause   l log   - + slower, faster   o postpone   ? close help"
  `);
  screen.type("?");
  await screen.until("? help");
});

test("when the run has ended no key sends a command", async () => {
  const screen = await show(
    [...COPYING, event(30, { event: "finished", outcome: "aborted", message: "Gone." })],
    31,
  );
  for (const key of ["p", "c", "r"]) screen.type(key);
  screen.type("q");
  await vi.waitUntil(() => screen.left());
  expect(screen.commands).toEqual([]);
});

test("at every size no line is wider than the terminal, the frame is lower than it, and the keys stay visible", async () => {
  const long = "a rather long word ".repeat(30);
  const screen = await show(
    [
      ...UNTIL_VALIDATED,
      started(105, "cutover"),
      event(106, { event: "log", level: "warn", message: long }),
      event(108, {
        event: "lock-try",
        purpose: long,
        attempt: 7,
        outcome: "timeout",
        timeoutMs: 200,
        waitedMs: 201,
        blockers: [1, 2, 3, 4].map((pid) => ({ pid, ageSeconds: 1e6, query: long, application: long })),
      }),
    ],
    108,
  );
  const sizes: [number, number][] = [
    [200, 60],
    [120, 30],
    [80, 24],
    [60, 12],
    [80, 24],
  ];
  for (const [columns, rows] of sizes) {
    await screen.resize(columns, rows);
    const lines = screen.frame().split("\n");
    expect(lines.length).toBe(rows - 1);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
    expect(lines.at(-1)).toMatch(/^q quit safely {3}p pause {3}l log {3}.*\? help$/);
  }
});

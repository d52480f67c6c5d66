import { expect, test } from "vitest";
import { done, event, show, started, UNTIL_RETAINED, UNTIL_VALIDATED, windowEvent } from "./support.js";

test("a run ready for cutover says so and offers the key", async () => {
  const screen = await show(
    [
      ...UNTIL_VALIDATED,
      event(106, { event: "ready", message: "Everything is ready: press c to cut over." }),
    ],
    110,
  );
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                              orders_3f9a1c  1m 50s
    PostgreSQL 18.1, database shop on db.internal:5432
    The source is untouched; the application is using it. The new table is ready for
    cutover.

    ✔ backup    done       9.0s  backup     1.23 GB by pg_dump, verified
    ✔ shadow    done       0.4s  copied     5,000,123 rows, 600 of 600 batches
    ✔ copy      done     1m 00s  indexes    84 of 84 built
    ✔ index     done        30s  change log 12 keys behind, 9,000/s applied
    ✔ validate  done       5.0s  validation equal, 5,000,123 rows, 12 pending
    · cutover   waiting
    · retain    waiting
    · drop      waiting

    Everything is ready: press c to cut over.





    10:01:46 Everything is ready: press c to cut over.

    q quit safely   p pause   c cut over now   l log   - + slower, faster   ? help"
  `);
});

test("a busy lock shows who holds it, for how long and with which query, without that query's escape codes", async () => {
  const blockers = [
    {
      pid: 4242,
      ageSeconds: 192,
      query: "UPDATE public.orders\n  SET note = '\u001b[2J'",
      application: "worker",
    },
    { pid: 77, ageSeconds: 3, query: "SELECT 1", application: "" },
  ];
  const screen = await show(
    [
      ...UNTIL_VALIDATED,
      started(105, "cutover"),
      event(108, {
        event: "lock-try",
        purpose: "cutover",
        attempt: 7,
        outcome: "timeout",
        timeoutMs: 200,
        waitedMs: 201,
        blockers,
      }),
    ],
    108,
  );
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                              orders_3f9a1c  1m 48s
    PostgreSQL 18.1, database shop on db.internal:5432
    Cutting over: the names swap in one short transaction, or nothing changes.

    ✔ backup    done       9.0s  backup     1.23 GB by pg_dump, verified
    ✔ shadow    done       0.4s  copied     5,000,123 rows, 600 of 600 batches
    ✔ copy      done     1m 00s  indexes    84 of 84 built
    ✔ index     done        30s  change log 12 keys behind, 9,000/s applied
    ✔ validate  done       5.0s  validation equal, 5,000,123 rows, 12 pending
    ▶ cutover   running    3.0s  lock       try 7: busy after 201 ms (cutover)
    · retain    waiting
    · drop      waiting

    Waiting for 2 transactions:
      pid 4242    open 3m 12s  worker: UPDATE public.orders SET note = '[2J'
      pid 77      open 3s      SELECT 1






    q quit safely   p pause   l log   - + slower, faster   d detach   ? help"
  `);
});

test("in the window the operator sees that rollback is safe and how long it stays so", async () => {
  const screen = await show(
    [...UNTIL_RETAINED, windowEvent(110, true, "rollback is safe, 3 keys behind")],
    170,
  );
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








    10:01:46 The application is on the new table; locks held 61 ms

    q quit safely   p pause   r roll back   l log   - + slower, faster   ? help"
  `);
});

test("in the window an unsafe rollback is named with its reason and not offered", async () => {
  const verdict = "rollback is not safe because column note was added on 2026-07-01.";
  const screen = await show([...UNTIL_RETAINED, windowEvent(110, false, verdict)], 170);
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                              orders_3f9a1c  2m 50s
    PostgreSQL 18.1, database shop on db.internal:5432
    The application is on the new table; rollback is not safe because column note
    was added on 2026-07-01.

    ✔ backup    done       9.0s  copied     5,000,123 rows, 600 of 600 batches
    ✔ shadow    done       0.4s  validation equal, 5,000,123 rows, 12 pending
    ✔ copy      done     1m 00s  cutover    held 61 ms, worst stall 70 ms, 3 tries
    ✔ index     done        30s  window     23h 58m left, to 2026-07-02 10:01 UTC
    ✔ validate  done       5.0s  rollback   NOT SAFE, 3 keys behind
    ✔ cutover   done       0.9s
    ▶ retain    running  1m 04s
    · drop      waiting







    10:01:46 The application is on the new table; locks held 61 ms

    q quit safely   p pause   l log   - + slower, faster   d detach   ? help"
  `);
});

test("a rollback under way is told apart from the window", async () => {
  const screen = await show(
    [
      ...UNTIL_RETAINED,
      windowEvent(110, true, ""),
      event(120, { event: "phase", phase: "rollback", status: "started", ms: null }),
    ],
    122,
  );
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                              orders_3f9a1c  2m 02s
    PostgreSQL 18.1, database shop on db.internal:5432
    Rolling back: the names swap in one short transaction, or nothing changes.

    ✔ backup    done       9.0s  copied     5,000,123 rows, 600 of 600 batches
    ✔ shadow    done       0.4s  validation equal, 5,000,123 rows, 12 pending
    ✔ copy      done     1m 00s  cutover    held 61 ms, worst stall 70 ms, 3 tries
    ✔ index     done        30s  window     23h 59m left, to 2026-07-02 10:01 UTC
    ✔ validate  done       5.0s  rollback   safe, 3 keys behind
    ✔ cutover   done       0.9s
    - retain    ended
    · drop      waiting
    ▶ rollback  running    2.0s







    10:01:46 The application is on the new table; locks held 61 ms

    q quit safely   p pause   l log   - + slower, faster   d detach   ? help"
  `);
});

test("the drop of the old table is the last phase an operator sees", async () => {
  const screen = await show(
    [...UNTIL_RETAINED, done(86_506, "retain", 86_400_000), started(86_506, "drop")],
    86_507,
  );
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                              orders_3f9a1c  1d 00h
    PostgreSQL 18.1, database shop on db.internal:5432
    The application is on the new table; the old one is being dropped.

    ✔ backup    done       9.0s  copied     5,000,123 rows, 600 of 600 batches
    ✔ shadow    done       0.4s  validation equal, 5,000,123 rows, 12 pending
    ✔ copy      done     1m 00s  cutover    held 61 ms, worst stall 70 ms, 3 tries
    ✔ index     done        30s
    ✔ validate  done       5.0s
    ✔ cutover   done       0.9s
    ✔ retain    done     1d 00h
    ▶ drop      running    1.0s








    10:01:46 The application is on the new table; locks held 61 ms

    q quit safely   p pause   l log   - + slower, faster   d detach   ? help"
  `);
});

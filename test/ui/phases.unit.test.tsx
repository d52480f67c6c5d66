import { expect, test } from "vitest";
import type { RunEventBody } from "../../state/events.js";
import { event, show, started, UNTIL_VALIDATED } from "./support.js";

const SHADOWED = UNTIL_VALIDATED.slice(0, 5);

const COPYING: RunEventBody = {
  event: "copy",
  rowsDone: 1_000_000,
  rowsEstimated: 5_000_000,
  batchesDone: 120,
  batchesTotal: 600,
  rowsPerSecond: 83_330,
  secondsLeft: 48,
  workers: 4,
};

test("the operator sees a backup being written, its size, and that nothing is touched", async () => {
  const screen = await show(
    [
      started(0, "backup"),
      event(4, {
        event: "backup",
        method: "copy",
        bytes: 523_000_000,
        rows: 2_100_000,
        path: "/b",
        done: false,
      }),
    ],
    5,
  );
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                                orders_3f9a1c  5.0s
    PostgreSQL 18.1, database shop on db.internal:5432
    The source is untouched; the application is using it. Quit any time: the run
    resumes.

    ▶ backup    running    5.0s  backup     523 MB by copy, writing, 2,100,000 rows
    · shadow    waiting
    · copy      waiting
    · index     waiting
    · validate  waiting
    · cutover   waiting
    · retain    waiting
    · drop      waiting









    q quit safely   p pause   l log   - + slower, faster   o postpone   ? help"
  `);
});

test("the operator sees the shadow being made", async () => {
  const screen = await show([...UNTIL_VALIDATED.slice(0, 3), started(9, "shadow")], 9.3);
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                                orders_3f9a1c  9.3s
    PostgreSQL 18.1, database shop on db.internal:5432
    The source is untouched; the application is using it. Quit any time: the run
    resumes.

    ✔ backup    done       9.0s  backup     1.23 GB by pg_dump, verified
    ▶ shadow    running    0.3s
    · copy      waiting
    · index     waiting
    · validate  waiting
    · cutover   waiting
    · retain    waiting
    · drop      waiting









    q quit safely   p pause   l log   - + slower, faster   o postpone   ? help"
  `);
});

test("the operator sees how far the copy is, how fast, and when it will be done", async () => {
  const screen = await show([...SHADOWED, started(10, "copy"), event(22, COPYING)], 22);
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                                 orders_3f9a1c  22s
    PostgreSQL 18.1, database shop on db.internal:5432
    The source is untouched; the application is using it. Quit any time: the run
    resumes.

    ✔ backup    done       9.0s  backup     1.23 GB by pg_dump, verified
    ✔ shadow    done       0.4s  copied     1,000,000 rows, 120 of 600 batches
    ▶ copy      running     12s
    · index     waiting
    · validate  waiting
    · cutover   waiting
    · retain    waiting
    · drop      waiting

    ████░░░░░░░░░░░░░░░░ 20%  1,000,000 of ~5,000,000 rows  83,330 rows/s  48s left







    q quit safely   p pause   l log   - + slower, faster   o postpone   ? help"
  `);
});

test("while nothing has been measured the screen says so instead of inventing an estimate", async () => {
  const copying = { ...COPYING, rowsPerSecond: null, secondsLeft: null };
  const screen = await show([...SHADOWED, started(10, "copy"), event(11, copying)], 11);
  expect(screen.frame()).toContain("rate, time left: measuring\n");
});

test("a paused run says so, and how to go on", async () => {
  const screen = await show(
    [...SHADOWED, started(10, "copy"), event(22, COPYING), event(23, { event: "paused" })],
    30,
  );
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                                 orders_3f9a1c  30s
    PostgreSQL 18.1, database shop on db.internal:5432
    The source is untouched; the application is using it. Quit any time: the run
    resumes.

    ✔ backup    done       9.0s  backup     1.23 GB by pg_dump, verified
    ✔ shadow    done       0.4s  copied     1,000,000 rows, 120 of 600 batches
    ‖ copy      paused      20s
    · index     waiting
    · validate  waiting
    · cutover   waiting
    · retain    waiting
    · drop      waiting

    ████░░░░░░░░░░░░░░░░ 20%  1,000,000 of ~5,000,000 rows  83,330 rows/s  48s left





    10:00:23 Paused

    q quit safely   p continue   l log   - + slower, faster   o postpone   ? help"
  `);
});

test("the operator sees how many indexes are built and which one is under way", async () => {
  const screen = await show(
    [
      ...UNTIL_VALIDATED.slice(0, 9),
      event(82, {
        event: "index",
        built: 12,
        total: 84,
        current: ["orders_2026_01_pkey", "orders_2026_02_pkey"],
        secondsLeft: 63,
      }),
      event(82, { event: "backlog", direction: "forward", keys: 12_345, appliedPerSecond: null }),
    ],
    82,
  );
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                              orders_3f9a1c  1m 22s
    PostgreSQL 18.1, database shop on db.internal:5432
    The source is untouched; the application is using it. Quit any time: the run
    resumes.

    ✔ backup    done       9.0s  backup     1.23 GB by pg_dump, verified
    ✔ shadow    done       0.4s  copied     5,000,123 rows, 600 of 600 batches
    ✔ copy      done     1m 00s  indexes    12 of 84 built, now orders_2026_01_pkey…
    ▶ index     running     12s  change log 12,345 keys behind, rate: measuring
    · validate  waiting
    · cutover   waiting
    · retain    waiting
    · drop      waiting

    ██████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ 14%  12 of 84 indexes  1m 03s left







    q quit safely   p pause   l log   - + slower, faster   o postpone   ? help"
  `);
});

test("the operator sees the verdict of the validation while the change log is drained", async () => {
  const screen = await show(UNTIL_VALIDATED.slice(0, -1), 105);
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                              orders_3f9a1c  1m 45s
    PostgreSQL 18.1, database shop on db.internal:5432
    The source is untouched; the application is using it. Quit any time: the run
    resumes.

    ✔ backup    done       9.0s  backup     1.23 GB by pg_dump, verified
    ✔ shadow    done       0.4s  copied     5,000,123 rows, 600 of 600 batches
    ✔ copy      done     1m 00s  indexes    84 of 84 built
    ✔ index     done        30s  change log 12 keys behind, 9,000/s applied
    ▶ validate  running    5.0s  validation equal, 5,000,123 rows, 12 pending
    · cutover   waiting
    · retain    waiting
    · drop      waiting









    q quit safely   p pause   l log   - + slower, faster   o postpone   ? help"
  `);
});

test("a difference found by validation is not mistaken for success", async () => {
  const screen = await show(
    [
      ...UNTIL_VALIDATED.slice(0, -2),
      event(105, {
        event: "validation",
        result: "different",
        rows: 5_000_123,
        excluded: 0,
        sourceHash: "71",
        shadowHash: "72",
        ms: 4_900,
      }),
      event(106, {
        event: "difference",
        leaf: "orders_2026_01",
        key: "(42)",
        partition: "2026-01-05",
        kind: "missing",
      }),
    ],
    106,
  );
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                              orders_3f9a1c  1m 46s
    PostgreSQL 18.1, database shop on db.internal:5432
    The source is untouched; the application is using it. The copy differs: no
    cutover until it is equal.

    ✔ backup    done       9.0s  backup     1.23 GB by pg_dump, verified
    ✔ shadow    done       0.4s  copied     5,000,123 rows, 600 of 600 batches
    ✔ copy      done     1m 00s  indexes    84 of 84 built
    ✔ index     done        30s  change log 12 keys behind, 9,000/s applied
    ▶ validate  running    6.0s  validation DIFFERENT, 5,000,123 rows
    · cutover   waiting
    · retain    waiting
    · drop      waiting






    10:01:45 error: Validation found a difference
    10:01:46 error: Row missing in orders_2026_01: key (42), 2026-01-05

    q quit safely   p pause   l log   - + slower, faster   o postpone   ? help"
  `);
});

test("WAL that a slot keeps would fill the disk, or be given up, without the screen saying so", async () => {
  const sample = { event: "sample", walBytesPerSecond: 5e6, walBytes: 9e6, logged: null } as const;
  const slot = { retainedBytes: 3e9, keptBytes: null, status: "extended" };
  const during = [...SHADOWED, started(10, "copy"), event(11, COPYING)];
  const fine = await show([...during, event(15, { ...sample, slot })], 16);
  expect(fine.frame()).toContain("slot       keeps 3 GB of WAL, no bound but the disk");
  const bad = { ...slot, keptBytes: 4e9, status: "unreserved" };
  const worse = await show([...during, event(15, { ...sample, slot: bad })], 16);
  expect(worse.frame()).toContain("slot       keeps 3 GB of at most 4 GB, unreserved");
});

test("a run that the throttle holds would look as if it hung: why, since when, and what the canary measures", async () => {
  const reasons = (seconds: string) => [
    { signal: "replica-lag" as const, reason: `replica lag ${seconds} s >= 5 s (standby1)` },
  ];
  const sample = { event: "sample", walBytesPerSecond: null, walBytes: null, logged: null } as const;
  const screen = await show(
    [
      ...SHADOWED,
      started(10, "copy"),
      event(11, COPYING),
      event(12, { event: "throttled", reasons: reasons("7.2") }),
      event(15, { ...sample, canary: { p50: 0.42, p99: 31, count: 60 }, held: reasons("9.8") }),
    ],
    16,
  );
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                                 orders_3f9a1c  16s
    PostgreSQL 18.1, database shop on db.internal:5432
    The source is untouched; the application is using it. Quit any time: the run
    resumes.

    ✔ backup    done       9.0s  backup     1.23 GB by pg_dump, verified
    ✔ shadow    done       0.4s  copied     1,000,000 rows, 120 of 600 batches
    ‖ copy      held       6.0s  canary     0.4 ms, 99 % within 31 ms (last minute)
    · index     waiting          held       4s: replica lag 9.8 s >= 5 s (standby1)
    · validate  waiting
    · cutover   waiting
    · retain    waiting
    · drop      waiting

    ████░░░░░░░░░░░░░░░░ 20%  1,000,000 of ~5,000,000 rows  83,330 rows/s  48s left





    10:00:12 warning: Held: replica lag 7.2 s >= 5 s (standby1)

    q quit safely   p pause   l log   - + slower, faster   o postpone   ? help"
  `);
  screen.push(event(17, { event: "released", reason: "replica lag 7.2 s >= 5 s (standby1)", ms: 5000 }));
  await screen.until("Goes on after 5 s");
  expect(screen.frame()).not.toContain("held ");
});

import { expect, test } from "vitest";
import type { LeafFacts, RunEvent, RunEventBody } from "../../state/events.js";
import { at, event, show, started, UNTIL_RETAINED, UNTIL_VALIDATED, windowEvent } from "./support.js";

type MapBody = Extract<RunEventBody, { event: "map" }>;

const FORECAST: RunEventBody = {
  event: "forecast",
  phases: [
    { phase: "copy", low: 30, high: 120 },
    { phase: "index", low: 80, high: 320 },
    { phase: "validate", low: 25, high: 100 },
  ],
};

const COPYING: RunEvent[] = [
  ...UNTIL_VALIDATED.slice(0, 5),
  event(9, FORECAST),
  started(10, "copy"),
  ...[12, 14, 16, 18, 20].map((second, n) =>
    event(second, {
      event: "sample",
      walBytesPerSecond: n === 0 ? null : 45e6,
      walBytes: n * 90e6,
      logged: 40 * n * n,
    }),
  ),
  event(22, {
    event: "copy",
    rowsDone: 1_000_000,
    rowsEstimated: 5_000_000,
    batchesDone: 6,
    batchesTotal: 30,
    rowsPerSecond: 83_330,
    secondsLeft: 48,
    workers: 2,
  }),
];

const BLOCKS: MapBody = {
  event: "map",
  phase: "copy",
  of: "blocks",
  cells: `xxxxxx${".".repeat(24)}`,
  workers: [
    { worker: 1, cell: 6, what: "blocks 49152 to 57344", since: at(20) },
    { worker: 2, cell: 7, what: "blocks 57344 to 65536", since: at(21) },
  ],
};

function leaves(count: number): LeafFacts[] {
  return Array.from({ length: count }, (_, n) => ({
    name: `orders_p${n}`,
    bounds: `FOR VALUES FROM (${n * 1000}) TO (${n * 1000 + 1000})`,
    rows: 1000 + n,
    exact: false,
  }));
}

function building(cells: string, workers: MapBody["workers"]): RunEvent[] {
  return [
    ...UNTIL_VALIDATED.slice(0, 5),
    event(9, FORECAST),
    ...UNTIL_VALIDATED.slice(5, 9),
    event(71, { event: "leaves", leaves: leaves(cells.length) }),
    event(82, {
      event: "index",
      built: 12,
      total: 84,
      current: ["orders_p4_pkey"],
      secondsLeft: 63,
      step: "building indexes",
    }),
    event(82, { event: "map", phase: "index", of: "leaves", cells, workers }),
  ];
}

test("the copy shows which blocks are copied, where each worker is, and how long the whole will take", async () => {
  const screen = await show([...COPYING, event(22, BLOCKS)], 22);
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                                 orders_3f9a1c  22s
    PostgreSQL 18.1, database shop on db.internal:5432
    The source is untouched; the application is using it. Quit any time: the run
    resumes.

    ✔ backup    done       9.0s  backup     1.23 GB by pg_dump, verified
    ✔ shadow    done       0.4s  copied     1,000,000 rows, 6 of 30 batches
    ▶ copy      running     12s  WAL        45 MB/s, 360 MB in this run (server)
    · index     waiting          to cutover about 4m 18s
    · validate  waiting          change log ~640 changes captured, applied later
    · cutover   waiting                     ▁▂▃▅█ 8.0s, most 640
    · retain    waiting
    · drop      waiting

    ████░░░░░░░░░░░░░░░░ 20%  1,000,000 of ~5,000,000 rows  83,330 rows/s  48s left
    ████ ████ ████ ████ ████ ████ ░··· ░··· ···· ···· ···· ···· ···· ···· ····
    ···· ···· ···· ···· ···· ···· ···· ···· ···· ···· ···· ···· ···· ···· ····
    workers  1 blocks 49152 to 57344   2 blocks 57344 to 65536




    q quit safely   p pause   l log   arrows look at a part   o postpone   ? help"
  `);
});

test("on a big terminal every worker has a line, with how long it has been there", async () => {
  const screen = await show([...COPYING, event(22, BLOCKS)], 30, 120, 40);
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                                                                         orders_3f9a1c  30s
    PostgreSQL 18.1, database shop on db.internal:5432
    The source is untouched; the application is using it. Quit any time: the run resumes.

    ✔ backup    done       9.0s  backup     1.23 GB by pg_dump, verified
    ✔ shadow    done       0.4s  copied     1,000,000 rows, 6 of 30 batches
    ▶ copy      running     20s  WAL        45 MB/s, 360 MB in this run (server)
    · index     waiting          to cutover about 4m 18s
    · validate  waiting          change log ~640 changes captured, applied later
    · cutover   waiting                     ▁▂▃▅█ 8.0s, most 640
    · retain    waiting
    · drop      waiting

    ████████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ 20%  1,000,000 of ~5,000,000 rows  83,330 rows/s  48s left

    blocks of the table, in 30 parts, 6 copied:
    ████████ ████████ ████████ ████████ ████████ ████████ ░······· ░······· ········ ········
    ········ ········ ········ ········ ········ ········ ········ ········ ········ ········
    ········ ········ ········ ········ ········ ········ ········ ········ ········ ········
    worker 1  blocks 49152 to 57344  10s
    worker 2  blocks 57344 to 65536  9s

















    q quit safely   p pause   l log   arrows look at a part   - + slower, faster   o postpone   d detach   ? help"
  `);
});

test("a thousand partitions fold into the lines there are, and each can still be looked at", async () => {
  const cells = `${"x".repeat(400)}5${".".repeat(599)}`;
  const screen = await show(
    building(cells, [{ worker: 1, cell: 400, what: "orders_p400_pkey", since: at(80) }]),
    82,
  );
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                              orders_3f9a1c  1m 22s
    PostgreSQL 18.1, database shop on db.internal:5432
    The source is untouched; the application is using it. Quit any time: the run
    resumes.

    ✔ backup    done       9.0s  backup     1.23 GB by pg_dump, verified
    ✔ shadow    done       0.4s  copied     5,000,123 rows, 600 of 600 batches
    ✔ copy      done     1m 00s  indexes    12 of 84 built, now orders_p4_pkey
    ▶ index     running     12s  to cutover about 3m 18s
    · validate  waiting
    · cutover   waiting
    · retain    waiting
    · drop      waiting

    ██████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ 14%  12 of 84 indexes  1m 03s left
    █████████████████████████████████████████████████████████░······················
    ·······························································
    workers  1 orders_p400_pkey




    q quit safely   p pause   l log   arrows look at a leaf   o postpone   ? help"
  `);
  screen.type("\u001b[C");
  await screen.until("orders_p0: done, ~1,000 rows");
  for (let n = 0; n < 3; n += 1) screen.type("\u001b[C");
  await screen.until("FROM (21000) TO (22000)");
  screen.type("\u001b");
  await screen.until("workers  1 orders_p400_pkey");
});

test("few partitions are drawn wide, each filled as far as it is", async () => {
  const screen = await show(building("x7300.......", []), 82, 120, 30);
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                                                                      orders_3f9a1c  1m 22s
    PostgreSQL 18.1, database shop on db.internal:5432
    The source is untouched; the application is using it. Quit any time: the run resumes.

    ✔ backup    done       9.0s  backup     1.23 GB by pg_dump, verified
    ✔ shadow    done       0.4s  copied     5,000,123 rows, 600 of 600 batches
    ✔ copy      done     1m 00s  indexes    12 of 84 built, now orders_p4_pkey
    ▶ index     running     12s  to cutover about 3m 18s
    · validate  waiting
    · cutover   waiting
    · retain    waiting
    · drop      waiting

    ████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ 14%  12 of 84 indexes  1m 03s left

    12 partitions, 1 complete:
    ████████ ██████░· ██▓····· ▒······· ▒······· ········ ········ ········ ········ ········ ········ ········











    q quit safely   p pause   l log   arrows look at a leaf   - + slower, faster   o postpone   d detach   ? help"
  `);
});

test("once all indexes are built the screen says what the phase still does, instead of 100 %", async () => {
  const built = event(90, {
    event: "index",
    ...{ built: 84, total: 84, current: [], secondsLeft: 0, step: "freezing rows, gathering statistics" },
  });
  const screen = await show([...building("xxx8888.....", []), built], 91);
  expect(screen.frame()).toMatch(/ 25% {2}freezing rows, gathering statistics\n/);
});

test("a comparison shows how far both sides have been read, and a partition that differs stands out", async () => {
  const screen = await show(
    [
      ...UNTIL_VALIDATED.slice(0, -3),
      event(102, { event: "comparing", done: 9, total: 20, rows: 2_200_000, secondsLeft: 4 }),
      event(102, {
        event: "map",
        phase: "validate",
        of: "leaves",
        cells: "xxx!x.......",
        workers: [{ worker: 1, cell: null, what: "part of the unpartitioned table", since: at(101) }],
      }),
    ],
    103,
  );
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                              orders_3f9a1c  1m 43s
    PostgreSQL 18.1, database shop on db.internal:5432
    The source is untouched; the application is using it. Quit any time: the run
    resumes.

    ✔ backup    done       9.0s  backup     1.23 GB by pg_dump, verified
    ✔ shadow    done       0.4s  copied     5,000,123 rows, 600 of 600 batches
    ✔ copy      done     1m 00s  indexes    84 of 84 built
    ✔ index     done        30s
    ▶ validate  running    3.0s
    · cutover   waiting
    · retain    waiting
    · drop      waiting

    ██████████░░░░░░░░░░░░░░ 45%  both sides compared, 2,200,000 rows read  4s left
    ████████ ████████ ████████ !!!!!!!! ████████ ········
    ········ ········ ········ ········ ········ ········
    workers  1 part of the unpartitioned table




    q quit safely   p pause   l log   arrows look at a leaf   o postpone   ? help"
  `);
});

test("before the locks are asked for, every condition of the cutover is ticked", async () => {
  const check = (name: string, ok: boolean | null) => event(106, { event: "check", name, ok });
  const screen = await show(
    [
      ...UNTIL_VALIDATED,
      started(105, "cutover"),
      check("validated equal", true),
      check("definition unchanged", true),
      check("every change captured", false),
      check("source not rewritten", null),
      check("new table untouched", null),
      check("new table as validated", null),
      check("change log short", null),
    ],
    107,
  );
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                              orders_3f9a1c  1m 47s
    PostgreSQL 18.1, database shop on db.internal:5432
    Cutting over: the names swap in one short transaction, or nothing changes.

    ✔ backup    done       9.0s  backup     1.23 GB by pg_dump, verified
    ✔ shadow    done       0.4s  copied     5,000,123 rows, 600 of 600 batches
    ✔ copy      done     1m 00s  indexes    84 of 84 built
    ✔ index     done        30s  change log 12 keys behind, 9,000/s applied
    ✔ validate  done       5.0s  validation equal, 5,000,123 rows, 12 pending
    ▶ cutover   running    2.0s
    · retain    waiting
    · drop      waiting

    ✔ validated equal         ✔ definition unchanged    ✘ every change captured
    · source not rewritten    · new table untouched     · new table as validated
    · change log short






    q quit safely   p pause   l log   - + slower, faster   d detach   ? help"
  `);
});

test("the window says what both tables take on disk", async () => {
  const window = {
    ...windowEvent(110, true, "rollback is safe, 3 keys behind"),
    liveBytes: 1.2e9,
    retiredBytes: 1.1e9,
  };
  const screen = await show([...UNTIL_RETAINED, window], 170);
  expect(screen.frame()).toContain("on disk    new 1.2 GB, retired 1.1 GB\n");
});

test("the messages take the lower part of the screen and give it back", async () => {
  const messages = Array.from({ length: 30 }, (_, n) =>
    event(12 + n, { event: "log", level: "info", message: `message ${n}` }),
  );
  const screen = await show([...COPYING, event(22, BLOCKS), ...messages], 60);
  expect(screen.frame()).not.toContain("message 20");
  screen.type("l");
  await screen.until("message 20");
  expect(screen.frame()).not.toContain("validate");
  screen.type("l");
  await screen.until("workers  1 blocks");
});

test("a terminal too small for the pieces still shows phases and keys", async () => {
  const screen = await show([...COPYING, event(22, BLOCKS)], 22, 60, 18);
  expect(screen.frame()).toContain("copy      running");
  expect(screen.frame()).toContain("q quit safely");
  expect(screen.frame()).not.toContain("workers");
});

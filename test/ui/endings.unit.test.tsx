import { expect, test } from "vitest";
import { done, event, show, started, UNTIL_RETAINED, UNTIL_VALIDATED } from "./support.js";

test("a stopped run says what happened, what state things are in and what to type next", async () => {
  const screen = await show(
    [
      ...UNTIL_VALIDATED.slice(0, 6),
      event(22, {
        event: "stopped",
        kind: "drift",
        what: "The definition of public.orders changed while it was being copied: column note text was added by another session.",
        state: "The source is untouched; 120 of 600 batches are committed and will not be copied again.",
        next: "partway abort orders_3f9a1c",
        exitCode: 7,
      }),
      event(22, { event: "finished", outcome: "failed", message: "drift" }),
    ],
    500,
  );
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                                 orders_3f9a1c  22s
    PostgreSQL 18.1, database shop on db.internal:5432
    The source is untouched; 120 of 600 batches are committed and will not be copied
    again.

    ✔ backup    done       9.0s  backup     1.23 GB by pg_dump, verified
    ✔ shadow    done       0.4s
    ‖ copy      stopped
    · index     waiting
    · validate  waiting
    · cutover   waiting
    · retain    waiting
    · drop      waiting

    ✘ Failed (drift, exit code 7)
    what   The definition of public.orders changed while it was being copied: column
           note text was added by another session.
    state  The source is untouched; 120 of 600 batches are committed and will not be
           copied again.
    next   partway abort orders_3f9a1c"
  `);
});

test("a run that the operator stopped does not look like a failure", async () => {
  const screen = await show(
    [
      ...UNTIL_VALIDATED.slice(0, 6),
      event(22, {
        event: "stopped",
        kind: "stopped",
        what: "The operator stopped the run.",
        state: "The source is untouched; the run resumes where it was.",
        next: "partway resume orders_3f9a1c",
        exitCode: 5,
      }),
    ],
    500,
  );
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                                 orders_3f9a1c  22s
    PostgreSQL 18.1, database shop on db.internal:5432
    The source is untouched; the run resumes where it was.

    ✔ backup    done       9.0s  backup     1.23 GB by pg_dump, verified
    ✔ shadow    done       0.4s
    ‖ copy      stopped
    · index     waiting
    · validate  waiting
    · cutover   waiting
    · retain    waiting
    · drop      waiting

    ‖ Stopped (exit code 5)
    what   The operator stopped the run.
    state  The source is untouched; the run resumes where it was.
    next   partway resume orders_3f9a1c"
  `);
});

test("a finished run leaves a frame that says so, with no keys that do nothing", async () => {
  const screen = await show(
    [
      ...UNTIL_RETAINED,
      done(86_506, "retain", 86_400_000),
      started(86_506, "drop"),
      done(86_507, "drop", 300),
      event(86_507, { event: "finished", outcome: "done", message: "public.orders is partitioned." }),
    ],
    90_000,
  );
  expect(screen.frame()).toMatchInlineSnapshot(`
    "public.orders                                              orders_3f9a1c  1d 00h
    PostgreSQL 18.1, database shop on db.internal:5432
    The application is on the new table; the old one is gone.

    ✔ backup    done       9.0s  copied     5,000,123 rows, 600 of 600 batches
    ✔ shadow    done       0.4s  validation equal, 5,000,123 rows, 12 pending
    ✔ copy      done     1m 00s  cutover    held 61 ms, worst stall 70 ms, 3 tries
    ✔ index     done        30s
    ✔ validate  done       5.0s
    ✔ cutover   done       0.9s
    ✔ retain    done     1d 00h
    ✔ drop      done       0.3s

    ✔ Done: public.orders is partitioned.

    10:01:46 The application is on the new table; locks held 61 ms"
  `);
});

test("a failed phase stands out by glyph and word, not by colour alone", async () => {
  const screen = await show(
    [
      ...UNTIL_VALIDATED.slice(0, 6),
      event(22, { event: "phase", phase: "copy", status: "failed", ms: 12_000 }),
    ],
    23,
  );
  expect(screen.frame()).toContain("✘ copy      failed      12s");
});

test("one of several tables says where the whole stands, and loses no line of its own for it", async () => {
  const stopped = event(22, {
    event: "stopped",
    kind: "stopped",
    what: "The operator stopped the run.",
    state: "The source is untouched; the run resumes where it was.",
    next: "partway resume orders_3f9a1c",
    exitCode: 5,
  });
  const events = [...UNTIL_VALIDATED.slice(0, 6), stopped];
  const alone = (await show(events, 500)).frame().split("\n");
  const whole = "table 2 of 3, 1 done";
  expect((await show(events, 500, 80, 24, whole)).frame().split("\n")).toEqual([
    ...alone.slice(0, 2),
    whole,
    ...alone.slice(2),
  ]);
});

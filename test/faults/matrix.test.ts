/**
 * Every fault at every moment: PARTWAY_FAULTS=all npx vitest run --project pg15 --project pg18 test/faults/matrix.test.ts
 * (about a quarter of an hour a version). CI runs the representatives of journey.test.ts.
 */
import { afterAll, describe, inject } from "vitest";
import {
  ABORT,
  BUILD_WATCH,
  cancel,
  cut,
  FINALIZE,
  freeze,
  HELPER,
  HOLDER,
  ROLLBACK,
  restart,
  silence,
  silentInLock,
  terminate,
  terminateOther,
  vanish,
  WAY,
  WINDOW,
} from "./faults.js";
import { type Chosen, type Fault, journey } from "./journey.js";

const FAULTS: [name: string, fault: Fault][] = [
  ["server crashes", restart],
  ["connections cut", cut],
  ["connections vanish", vanish],
  ["backend terminated", terminate],
  ["statement cancelled", cancel],
  ["network silent for 16 s", silence],
];

const keys = <M extends object>(moments: M) => Object.keys(moments) as (keyof M & string)[];

/** A COMMIT is over before anybody can cancel it, and then its moment does not come again. */
const COMMITS = / its commit$| commit$| are gone$| is gone$/;

function everywhere(name: string, fault: Fault): Chosen {
  const all = <M extends object>(moments: M) =>
    keys(moments)
      .filter((moment) => fault !== cancel || !COMMITS.test(moment))
      .map((moment) => [moment, name, fault] as const);
  return {
    way: all(WAY),
    window: all(WINDOW),
    rollback: all(ROLLBACK),
    abort: all(ABORT),
    finalize: all(FINALIZE),
  };
}

/** What only makes sense in certain places. */
const SPECIAL: Chosen = {
  way: [
    ["copy, in the lock of the triggers", "orchestrator frozen in the lock", freeze],
    ["copy, in the lock of the triggers", "network silent in the lock", silentInLock],
    ["copy, before a batch's commit", "lease holder terminated", (s) => terminateOther(s, HOLDER)],
    ["copy, after a batch's commit", "helper terminated", (s) => terminateOther(s, HELPER)],
    ["index, before a build's commit", "build watch terminated", (s) => terminateOther(s, BUILD_WATCH)],
    ["cutover, in the lock", "orchestrator frozen in the lock", freeze],
    ["cutover, in the lock", "network silent in the lock", silentInLock],
  ],
  window: [["window, before an apply's commit", "lease holder terminated", (s) => terminateOther(s, HOLDER)]],
  rollback: [
    ["rollback, before its commit", "orchestrator frozen in the lock", freeze],
    ["rollback, in the lock of the triggers", "orchestrator frozen in the lock", freeze],
  ],
  abort: [["abort, before the triggers are gone", "orchestrator frozen in the lock", freeze]],
  finalize: [["finalize, before the triggers are gone", "network silent in the lock", silentInLock]],
};

const rows: string[] = [];

describe.skipIf(process.env["PARTWAY_FAULTS"] !== "all")("the matrix (only with PARTWAY_FAULTS=all)", () => {
  afterAll(() => {
    process.stdout.write(
      `PostgreSQL ${inject("server").version}: ${rows.length} cases met\n${rows.join("\n")}\n`,
    );
  });
  const only = process.env["PARTWAY_FAULT"];
  const chosen = [
    ...FAULTS.map(([name, fault]) => [name, everywhere(name, fault)] as const),
    ["special", SPECIAL] as const,
  ];
  describe.each(chosen.filter(([name]) => only === undefined || name === only))("%s", (_name, choice) => {
    journey(
      choice,
      ({ moment, fault, seconds }) =>
        rows.push(`| ${fault} | ${moment} | met, resumed | ${seconds.toFixed(1)} |`),
      () => undefined,
    );
  });
});

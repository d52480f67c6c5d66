import { describe, expect, test } from "vitest";
import { parseThrottle, rawThrottle } from "../../src/config/throttle.js";
import { isWithin, judgeHours, parseHours } from "../../src/throttle/hours.js";
import { judge, judgeSql } from "../../src/throttle/judge.js";
import { Latencies, WalMarks } from "../../src/throttle/marks.js";
import { active, NO_RIGHT, replicaLag, xminAge } from "../../src/throttle/read.js";

const text = (value: unknown) => ({ text: JSON.stringify(value) });

describe("a limit", () => {
  test("is reached, and the reason has reading, limit and who", () => {
    expect(judge("replica-lag", { value: 7200, who: "standby1" }, 5000, false)).toBe(
      "replica lag 7.2 s >= 5 s (standby1)",
    );
    expect(judge("replica-lag", { value: 4999 }, 5000, false)).toBeNull();
    expect(judge("active", { value: 5000 }, 5000, false)).toBe("active sessions 5,000 >= 5,000");
    expect(judge("wal-rate", { value: 61_000_000 }, 50_000_000, false)).toBe("WAL 61 MB/s >= 50 MB/s");
  });

  test("that holds lets go only well below it, or the run would stop and go every second", () => {
    expect(judge("replica-lag", { value: 4500 }, 5000, false)).toBeNull();
    expect(judge("replica-lag", { value: 4500 }, 5000, true)).toBe(
      "replica lag 4.5 s not yet well below 5 s",
    );
    expect(judge("replica-lag", { value: 3999 }, 5000, true)).toBeNull();
  });

  test("with nothing to measure is no reason, and one that cannot be read is", () => {
    expect(judge("replica-lag", { value: null }, 5000, true)).toBeNull();
    expect(judge("active", { unreadable: "no\nright" }, 5, false)).toBe(
      "active sessions cannot be read: no right",
    );
  });

  test("a name that somebody gave a session cannot steer the terminal", () => {
    expect(judge("xmin-age", { value: 9, who: "pid 1 \u001b[2J\nx" }, 5, false)).toBe(
      "oldest snapshot 9 transactions >= 5 transactions (pid 1 [2J x)",
    );
  });
});

test("the operator's own question: true and numbers hold, what is neither counts as bad and is named", () => {
  const answers: [(string | null)[] | null, string | null][] = [
    [["f"], null],
    [["0"], null],
    [["-1.5"], null],
    [["t"], "--throttle-sql gives t"],
    [["3"], "--throttle-sql gives 3"],
    [["t", "the month is being closed"], "--throttle-sql: the month is being closed"],
    [[null], "--throttle-sql cannot be read: it gives NULL"],
    [[""], '--throttle-sql cannot be read: "" is neither a boolean nor a number'],
    [["maybe"], '--throttle-sql cannot be read: "maybe" is neither a boolean nor a number'],
    [null, "--throttle-sql cannot be read: it gives no row"],
  ];
  for (const [first, reason] of answers) expect(judgeSql({ first })).toBe(reason);
  expect(judgeSql({ error: "relation does not exist" })).toBe(
    "--throttle-sql cannot be read: relation does not exist",
  );
});

describe("hours of the day", () => {
  test("over midnight, and the last minute is not in them", () => {
    const night = parseHours("22:00-06:00", "--between");
    expect(
      ["21:59", "22:00", "23:59", "00:00", "05:59", "06:00"].map((now) => judgeHours(night, now) === null),
    ).toEqual([false, true, true, true, true, false]);
    expect(judgeHours(night, "14:32")).toBe("outside 22:00-06:00 UTC: it is 14:32, on at 22:00");
    const day = parseHours("9:00-17:30 Europe/Berlin", "--between");
    expect(day.zone).toBe("Europe/Berlin");
    expect([8 * 60 + 59, 9 * 60, 17 * 60 + 29, 17 * 60 + 30].map((minute) => isWithin(day, minute))).toEqual([
      ...[false, true, true, false],
    ]);
    expect(isWithin(parseHours("20:00-24:00", "--between"), 23 * 60 + 59)).toBe(true);
  });

  test.each(["22-6", "25:00-06:00", "22:00-22:00", "00:00-24:00", "22:00-06:60", "now"])(
    "%s is refused before anything is touched",
    (typed) => {
      expect(() => parseHours(typed, "--between")).toThrow(/--between: .* are no hours of the day/);
    },
  );
});

describe("replica lag", () => {
  test("counts a replay that stands still, whose own replay_lag would not grow", () => {
    const marks = new WalMarks();
    for (let second = 0; second <= 30; second += 1) marks.add(second * 1000, 100 + second * 10);
    const rows = [
      { name: "fine", lag: 3, replayed: 400 },
      { name: "stuck", lag: 20, replayed: 205 },
    ];
    expect(replicaLag(text({ may: true, rows }), marks)).toEqual({ value: 19_000, who: "stuck" });
  });

  test("one that has everything is not behind, whatever replay_lag was last", () => {
    const marks = new WalMarks();
    marks.add(0, 100);
    expect(replicaLag(text({ may: true, rows: [{ name: "s", lag: 9000, replayed: 100 }] }), marks)).toEqual({
      value: 0,
      who: "s",
    });
  });

  test("one that was behind before we looked may be hours behind: it holds until it is known", () => {
    const marks = new WalMarks();
    marks.add(0, 100);
    const rows = [
      { name: "receiver", lag: null, replayed: null },
      { name: "fine", lag: 800, replayed: 100 },
      { name: "s", lag: null, replayed: 90 },
    ];
    const first = replicaLag(text({ may: true, rows }), marks);
    expect(first).toEqual({ value: 0, who: "s", isAtLeast: true });
    expect(judge("replica-lag", first, 5000, false)).toBe("replica lag at least 0 ms, not known yet (s)");
    marks.add(6000, 200);
    const later = replicaLag(text({ may: true, rows: rows.slice(2) }), marks);
    expect(judge("replica-lag", later, 5000, true)).toBe("replica lag 6 s >= 5 s (s)");
    const passed = replicaLag(text({ may: true, rows: [{ name: "s", lag: 20, replayed: 150 }] }), marks);
    expect(judge("replica-lag", passed, 5000, true)).toBeNull();
    expect(replicaLag(text({ may: true, rows: [] }), marks)).toEqual({ value: null });
  });

  test("before there are marks, at the plan, the server's word counts: a standby delayed on purpose is told of", () => {
    const rows = [{ name: "late", lag: 3_600_000, replayed: 100 }];
    expect(replicaLag(text({ may: true, rows }), new WalMarks())).toMatchObject({
      value: 3_600_000,
      who: "late",
    });
  });

  test("without the right rows are there and say nothing: unreadable, not zero", () => {
    const rows = [{ name: null, lag: null, replayed: null }];
    expect(replicaLag(text({ may: false, rows }), new WalMarks())).toEqual({ unreadable: NO_RIGHT });
    expect(active(text({ may: false, n: 0 }))).toEqual({ unreadable: NO_RIGHT });
    expect(xminAge(text({ may: false, rows: [] }))).toEqual({ unreadable: NO_RIGHT });
  });

  test("hours of marks stay few, and an hour behind is still told as one", () => {
    const marks = new WalMarks();
    for (let second = 0; second <= 3000; second += 1) marks.add(second * 1000, second);
    expect(marks.behind(600)).toBeGreaterThan(2_380_000);
    expect(marks.behind(600)).toBeLessThanOrEqual(2_400_000);
    expect(marks.rate()).toBe(1);
  });
});

test("percentiles are of the last minute; one hiccup of the canary is not judged", () => {
  const times = new Latencies();
  expect([times.summary(0), times.recent()]).toEqual([null, null]);
  times.add(0, 9000);
  for (let second = 61; second < 161; second += 1) times.add(second * 1000, second === 160 ? 500 : 2);
  expect(times.summary(160_000)).toEqual({ p50: 2, p99: 500, count: 61 });
  expect(times.recent()).toBe(2);
});

test("a resume keeps every limit, and the default stays a default", () => {
  const all = parseThrottle({
    ...{ maxReplicaLag: "5s", maxBatchTime: "2s", maxActive: "1_000", maxXminAge: "1000000" },
    ...{
      maxWalRate: "50MB",
      maxCheckpointWal: "90",
      maxSlotWal: "70",
      throttleSql: "SELECT false",
      canarySql: "SELECT 1",
    },
    ...{ maxCanary: "20ms", between: "22:00-06:00 Asia/Tokyo" },
  });
  expect(all).toMatchObject({
    maxReplicaLagMs: 5000,
    maxWalRate: 50_000_000,
    maxActive: 1000,
    isReplicaLagAsked: true,
  });
  expect(parseThrottle(rawThrottle(all))).toEqual(all);
  const none = parseThrottle({});
  expect(none).toMatchObject({
    maxReplicaLagMs: 10_000,
    isReplicaLagAsked: false,
    maxSlotWal: 50,
    sql: null,
  });
  expect(parseThrottle(rawThrottle(none))).toEqual(none);
  const off = parseThrottle({ maxReplicaLag: "off", maxSlotWal: "off", between: "off" });
  expect(off).toMatchObject({ maxReplicaLagMs: null, maxSlotWal: null, between: null });
  expect(parseThrottle(rawThrottle(off))).toEqual(off);
});

test.each([
  [{ maxReplicaLag: "5" }, /--max-replica-lag: "5" is not a time/],
  [{ maxActive: "0" }, /--max-active: "0" is not a whole number above zero/],
  [{ maxWalRate: "fast" }, /--max-wal-rate: "fast" is no number of bytes/],
  [{ throttleSql: " " }, /--throttle-sql: no statement is given/],
] as const)("%j is refused before anything is touched", (raw, why) => {
  expect(() => parseThrottle(raw)).toThrow(why);
});

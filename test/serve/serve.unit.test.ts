/** What of the service needs no server: tokens, limits, settings, times, and what a refusal says. */
import { describe, expect, test } from "vitest";
import { PartwayError } from "../../src/errors.js";
import { Gate, RateLimit, TooMany } from "../../src/serve/limits.js";
import { refusalOf } from "../../src/serve/refusals.js";
import { dueAt } from "../../src/serve/scheduler.js";
import { lastUntil, nextAfter, serveSettings } from "../../src/serve/settings.js";
import { holderOf, newToken, presentedIn } from "../../src/serve/tokens.js";

const { token, kept } = newToken("ops", "write");

describe("who may call would be mistaken", () => {
  test("only the token itself opens, wherever it stands in the list", () => {
    const others = [newToken("a", "read").kept, newToken("b", "read").kept];
    for (const all of [
      [kept, ...others],
      [...others, kept],
    ])
      expect(holderOf(token, all)?.name).toBe("ops");
    for (const wrong of ["", token.slice(0, -1), `${token} `, kept.sha256, "ops"])
      expect(holderOf(wrong, [...others, kept]), wrong).toBeNull();
    expect(holderOf(token, [])).toBeNull();
  });

  test("what is kept does not hold the token, and no two are alike", () => {
    expect(JSON.stringify(kept)).not.toContain(token.slice(3, 20));
    expect(newToken("ops", "write").token).not.toBe(token);
  });

  test("Basic counts where it was asked for alone", () => {
    expect(presentedIn(`Bearer ${token}`, false)).toBe(token);
    expect(presentedIn(`bearer ${token}`, false)).toBe(token);
    expect(presentedIn(`Basic ${btoa(`any:${token}`)}`, true)).toBe(token);
    for (const none of [undefined, "", "Bearer", `Bearer ${token} x`, `Basic ${btoa(`any:${token}`)}`, token])
      expect(presentedIn(none, false), none).toBeNull();
    expect(presentedIn(`Basic ${btoa("nocolon")}`, true)).toBeNull();
  });
});

describe("somebody would take all there is", () => {
  test("a minute's worth at once, then evenly, and each key its own", () => {
    let now = 0;
    const limit = new RateLimit(6, () => now);
    expect([0, 0, 0, 0, 0, 0].map(() => limit.take("a"))).toEqual([0, 0, 0, 0, 0, 0]);
    expect(limit.take("a")).toBe(10);
    expect(limit.take("b")).toBe(0);
    now = 9_999;
    expect(limit.take("a")).toBe(1);
    now = 10_000;
    expect([limit.take("a"), limit.take("a")]).toEqual([0, 10]);
    now = 1e9;
    expect(Array.from({ length: 7 }, () => limit.take("a")).filter((wait) => wait > 0)).toHaveLength(1);
  });

  test("so many at a time, so many waiting, the rest are told", async () => {
    const gate = new Gate(1, 1);
    const order: string[] = [];
    let open: () => void = () => undefined;
    const first = gate.through(async () => {
      await new Promise<void>((resolve) => {
        open = resolve;
      });
      order.push("first");
    });
    const second = gate.through(async () => void order.push("second"));
    const third = gate.through(async () => void order.push("third"));
    await expect(third).rejects.toThrow(TooMany);
    open();
    await Promise.all([first, second]);
    expect(order).toEqual(["first", "second"]);
    await expect(gate.through(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await gate.through(() => Promise.resolve("the place is given back"))).toMatch(/given back/);
  });
});

describe("a refusal would say the wrong thing, or a secret", () => {
  test("a full gate and what was not foreseen", () => {
    expect(refusalOf(new TooMany())).toMatchObject({ code: "too-busy", retryAfter: 1 });
    const odd = refusalOf(new Error("no way to postgres://me:hunter22@db/shop"));
    expect(odd.code).toBe("unexpected");
    expect(JSON.stringify(odd)).not.toContain("hunter22");
  });

  test("the operator's own words go on", () => {
    const words = { what: "w", state: "s", next: "n" };
    expect(refusalOf(new PartwayError("lock-busy", words))).toMatchObject({
      ...{ code: "lock-busy", message: "w", state: "s", next: "n" },
    });
    expect(refusalOf(new PartwayError("bad-input", words)).code).toBe("bad-request");
  });
});

describe("the service would not be what the file says", () => {
  const said = (serve: Parameters<typeof serveSettings>[0], env = {}, flags = {}) =>
    serveSettings({ tokens: [kept], ...serve }, flags, env);

  test("defaults: this machine alone, 3001, daily at 02:00 UTC, nothing taken away", () => {
    expect(said({})).toMatchObject({
      ...{ host: "127.0.0.1", port: 3001, schedulerOff: null, catchUp: true },
      jobs: [{ name: "partition-maintenance", cron: "0 2 * * *", kind: "maintenance", apply: false }],
    });
    expect(said({}, {}, { apply: true, port: "8080", host: "::1" })).toMatchObject({
      ...{ host: "::1", port: 8080, jobs: [{ apply: true }] },
    });
    expect(said({ tokens: [{ name: "a", sha256: kept.sha256 }] }).tokens[0]?.scope).toBe("read");
  });

  test("a job's own word wins over --apply, and only what takes away has one", () => {
    const schedule = {
      a: { cron: "0 3 * * *", run: "cleanup", apply: false },
      b: { cron: "0 3 * * *", run: "cleanup" },
      c: { cron: "0 3 * * *", run: "create" },
    } as const;
    expect(said({ schedule }, {}, { apply: true }).jobs.map(({ apply }) => apply)).toEqual([
      false,
      true,
      false,
    ]);
    expect(() => said({ schedule: { a: { cron: "0 3 * * *", run: "health", apply: true } } })).toThrow(
      /serve\.schedule\.a.*apply/,
    );
  });

  test.each(["* * * * * *", "61 * * * *", "0 2 * *", "0 0 31 2 *", "tomorrow"])(
    "%s is no schedule",
    (cron) => {
      expect(() => said({ schedule: { nightly: { cron, run: "health" } } })).toThrow(
        /serve\.schedule\.nightly\.cron/,
      );
    },
  );

  test("names that stand twice, no token, no port", () => {
    expect(() => said({ tokens: [kept, kept] })).toThrow(/ops stands twice/);
    expect(() => said({ tokens: [] })).toThrow(/no token/);
    expect(() => said({}, {}, { port: "70000" })).toThrow(/--port/);
  });

  test("ENABLE_PARTITION_MAINTENANCE", () => {
    const off = (value: string) => said({}, { ENABLE_PARTITION_MAINTENANCE: value }).schedulerOff;
    expect([off("false"), off("0"), off("FALSE")]).toEqual([
      "ENABLE_PARTITION_MAINTENANCE=false",
      "ENABLE_PARTITION_MAINTENANCE=0",
      "ENABLE_PARTITION_MAINTENANCE=false",
    ]);
    expect([off("true"), off("")]).toEqual([null, null]);
    expect(() => off("perhaps")).toThrow(/neither true nor false/);
  });
});

describe("a job would be early, late or twice", () => {
  const time = (text: string) => new Date(`${text}Z`);
  const due = (since: string, now: string, from: string | null = null) =>
    dueAt({ cron: "0 2 1 * *" }, time(since), time(now), from === null ? null : time(from))?.toISOString() ??
    null;

  test("times are UTC, the moment itself included", () => {
    expect(lastUntil("0 2 1 * *", time("2025-01-01T02:00:00"))).toEqual(time("2025-01-01T02:00:00"));
    expect(lastUntil("0 2 1 * *", time("2025-01-01T01:59:59.999"))).toEqual(time("2024-12-01T02:00:00"));
    expect(nextAfter("0 2 1 * *", time("2025-01-01T02:00:00"))).toEqual(time("2025-02-01T02:00:00"));
    expect(nextAfter("0 3 1 */3 *", time("2025-01-01T03:00:00"))).toEqual(time("2025-04-01T03:00:00"));
  });

  test("due once, the latest of what was missed, or only what came since the start", () => {
    expect(due("2024-12-15T00:00", "2025-01-01T01:59:59")).toBeNull();
    expect(due("2024-12-15T00:00", "2025-01-01T02:00:00")).toBe("2025-01-01T02:00:00.000Z");
    expect(due("2025-01-01T02:00", "2025-01-20T00:00:00")).toBeNull();
    expect(due("2024-06-01T00:00", "2025-01-20T00:00:00")).toBe("2025-01-01T02:00:00.000Z");
    expect(due("2024-06-01T00:00", "2025-01-20T00:00:00", "2025-01-19T00:00:00")).toBeNull();
  });
});

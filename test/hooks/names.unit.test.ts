/** Which command is called when: a misspelt event would be a page that nobody gets. */
import { describe, expect, test } from "vitest";
import { mergePolicy, parseSettings, type RawSettings } from "../../src/config/request.js";
import { environmentOf } from "../../src/hooks/facts.js";
import { HOOK_EVENTS, hookNames, hooksFor, mergeOn, parseHook } from "../../src/hooks/names.js";
import { registerSecret } from "../../src/log.js";
import { PHASES, type RunEventBody } from "../../state/events.js";
import { fold } from "../../state/fold.js";
import { emptyView, type RunView } from "../../state/view.js";

const at = "2026-01-01T00:00:00.000Z";
const RUN = { migration: "orders_3f9a1c", table: "public.orders", server: "me@db:5432/shop" };
const EMPTY = emptyView({ ...RUN, startedAt: at });
const event = (body: RunEventBody) => ({ at, migration: RUN.migration, ...body });

/** The names that each of a run's events has, one after the other. */
function namesOf(...bodies: RunEventBody[]): string[][] {
  let view: RunView = EMPTY;
  return bodies.map((body) => {
    const names = hookNames(view, event(body));
    view = fold(view, event(body));
    return names;
  });
}

const window = (safe: boolean): RunEventBody => ({
  ...{ event: "window", deadline: at, secondsLeft: 60, safe, verdict: "rollback is safe", keysBehind: 0 },
});

test("the window, told every second, would call its hook every second, or keep a changed verdict to itself", () => {
  expect(namesOf(window(true), window(true), window(false), window(false), window(true))).toEqual([
    ...[["window:opened"], [], ["window:unsafe"], [], ["window:safe"]],
  ]);
  expect(namesOf(window(false))).toEqual([["window:opened", "window:unsafe"]]);
});

test("an event would have a name that --on does not take", () => {
  const told = namesOf(
    ...[...PHASES, "rollback" as const, "abort" as const].flatMap((phase) =>
      (["started", "done", "failed"] as const).map(
        (status): RunEventBody => ({ event: "phase", phase, status, ms: null }),
      ),
    ),
    { event: "ready", message: "" },
    { event: "finished", outcome: "retained", message: "" },
    { event: "stopped", kind: "vetoed", what: "", state: "", next: "", exitCode: 3 },
    ...[window(false), window(true)],
  ).flat();
  expect(told).toHaveLength(36);
  for (const name of told) expect(HOOK_EVENTS).toContain(name);
});

test("progress would start a process many times a second", () => {
  expect(namesOf({ event: "backlog", direction: "forward", keys: 1, appliedPerSecond: null })).toEqual([[]]);
});

test("a beginning would not stand for all, or stand for a stranger", () => {
  const hooks = ["phase=a", "phase:copy=b", "phase:copy:done=c", "copy-restarted=d"].map(parseHook);
  const called = (name: string) => hooksFor(hooks, name).map(({ command }) => command);
  expect(called("phase:copy:done")).toEqual(["a", "b", "c"]);
  expect(called("phase:copy:failed")).toEqual(["a", "b"]);
  expect(called("copy-restarted")).toEqual(["d"]);
  expect(called("phases:copy")).toEqual([]);
});

describe("--on", () => {
  test("a command with an equals sign would lose its end", () => {
    expect(parseHook("finished=A=1 ./notify.sh --to=me")).toEqual({
      ...{ event: "finished", command: "A=1 ./notify.sh --to=me" },
    });
  });

  test.each([
    ["before-cut=true", /"before-cut" is not an event/],
    ["phase:coppy=true", /"phase:coppy" is not an event/],
    ["backlog=true", /"backlog" is not an event/],
    ["./notify.sh", /is not an event/],
    ["finished= ", /no command is given/],
  ])("%j would be taken, and never run", (text, says) => {
    expect(() => parseHook(text)).toThrow(says);
    expect(() => parseSettings({ on: [text] })).toThrow(says);
  });

  test("a notification that is typed would switch off the veto that the file has", () => {
    const file = ["before-cutover=./approve.sh", "finished=./a.sh", "finished=./b.sh"];
    expect(mergeOn(file, ["finished=./c.sh"])).toEqual(["before-cutover=./approve.sh", "finished=./c.sh"]);
    expect(mergePolicy({ on: file }, {}).on).toEqual(file);
    expect(mergePolicy<RawSettings>({}, { on: file }).on).toEqual(file);
  });
});

test("a secret would be handed to a command, or the JSON be broken by hiding it", () => {
  registerSecret("hunter2hunter2");
  const told = event({ event: "log", level: "warn", message: 'password: "a b" hunter2hunter2 {"x":1}' });
  const env = environmentOf("stopped", told, { ...RUN, server: "me@db:5432/shop" }, "copy");
  expect(JSON.stringify(env)).not.toContain("hunter2");
  expect(JSON.parse(env["PARTWAY_JSON"] ?? "")).toMatchObject({ event: "log", level: "warn" });
  expect(env).toMatchObject({ PARTWAY_SERVER: "me@db:5432/shop", PARTWAY_PHASE: "copy" });
});

/** The service (FEATURES I) and the throttle. */
import type { Mutant } from "./mutant.js";

const LIMITS = "test/serve/serve.unit.test.ts";
const API = "test/serve/api.test.ts";
const JUDGE = "test/throttle/judge.unit.test.ts";
const BRAKE = "test/throttle/brake.unit.test.ts";
const APP_TS = "src/serve/app.ts";
const LIMITS_TS = "src/serve/limits.ts";
const JUDGE_TS = "src/throttle/judge.ts";
const BRAKE_TS = "src/throttle/brake.ts";

const one = (
  rule: string,
  guard: string,
  edit: Mutant["edits"][number],
  file: string,
  test: string,
): Mutant => ({ guard, rule, edits: [edit], red: [[file, test]] });

export const SERVE: readonly Mutant[] = [
  one(
    "I",
    "serve: only the token itself opens",
    [
      "src/serve/tokens.ts",
      "if (isIt && holder === null) holder = token;",
      "if (isIt || holder === null) holder = token;",
    ],
    ...([LIMITS, "only the token itself opens, wherever it stands in the list"] as const),
  ),
  one(
    "I",
    "serve: the hash of a token is no token",
    [
      "src/serve/tokens.ts",
      "  const given = digest(presented);",
      '  const given = /^[0-9a-f]{64}$/.test(presented) ? Buffer.from(presented, "hex") : digest(presented);',
    ],
    ...([API, "without a token, with a wrong one, with the hash of one"] as const),
  ),
  one(
    "I",
    "serve: a read token changes nothing",
    [APP_TS, 'c.get("token")?.scope !== "write"', 'c.get("token") === undefined'],
    ...([API, "with a token that may only read"] as const),
  ),
  one(
    "I",
    "serve: without a body nothing is dropped",
    [
      "src/serve/shapes.ts",
      "const dryRun = z\n  .boolean()\n  .default(true)",
      "const dryRun = z\n  .boolean()\n  .default(false)",
    ],
    ...([API, "maintenance without a body"] as const),
  ),
  one(
    "I",
    "serve: a token has its number of requests a minute",
    [
      APP_TS,
      "const wait = limit.take(holder.name);",
      "const wait = limit.take(holder.name + performance.now());",
    ],
    ...([API, "too often, or after too many wrong tokens"] as const),
  ),
  one(
    "I",
    "serve: wrong tokens of one address are few",
    [
      APP_TS,
      "const wait = strangers.take(addressOf(c));",
      "const wait = strangers.take(String(performance.now()));",
    ],
    ...([API, "too often, or after too many wrong tokens"] as const),
  ),
  one(
    "I",
    "serve: a bucket holds a minute's worth at most",
    [LIMITS_TS, "Math.min(this.#perMinute, grown)", "grown"],
    ...([LIMITS, "a minute's worth at once, then evenly"] as const),
  ),
  one(
    "I",
    "serve: a body has an end",
    [APP_TS, "if (size > BODY_BYTES) {", "if (size < 0) {"],
    ...([API, "with what is not JSON, too long, or asked twice"] as const),
  ),
  {
    guard: "serve: who waits for the database is bounded",
    rule: "I",
    edits: [[LIMITS_TS, "if (this.#waiting.length >= this.#most) throw new TooMany();", ""]],
    red: [[LIMITS, "so many at a time, so many waiting, the rest are told"]],
    hangs: "Who is to be refused waits for a place instead.",
  },
];

export const THROTTLE: readonly Mutant[] = [
  one(
    "7",
    "throttle: a signal that cannot be read is bad",
    [
      JUDGE_TS,
      'if ("unreadable" in reading) return unreadable(words, reading.unreadable);',
      'if ("unreadable" in reading) return null;',
    ],
    ...([JUDGE, "with nothing to measure is no reason, and one that cannot be read is"] as const),
  ),
  one(
    "7",
    "throttle: the operator's question that gives no answer is bad",
    [JUDGE_TS, 'return unreadable(words, "it gives NULL");', "return null;"],
    ...([JUDGE, "the operator's own question: true and numbers hold"] as const),
  ),
  one(
    "7",
    "throttle: what holds lets go only well below the limit",
    [JUDGE_TS, "wasHeld ? limit * RELEASE : limit", "limit"],
    ...([JUDGE, "that holds lets go only well below it"] as const),
  ),
  one(
    "7",
    "throttle: hours over midnight",
    ["src/throttle/hours.ts", "minute >= from || minute < to;", "minute >= from && minute < to;"],
    ...([JUDGE, "over midnight, and the last minute is not in them"] as const),
  ),
  one(
    "7",
    "throttle: the last minute is not within",
    ["src/throttle/hours.ts", "minute >= from && minute < to :", "minute >= from && minute <= to :"],
    ...([JUDGE, "over midnight, and the last minute is not in them"] as const),
  ),
  one(
    "7",
    "throttle: rows that hide what was asked for are unreadable, not zero",
    [
      "src/throttle/read.ts",
      "    if (!may) return { unreadable: NO_RIGHT };\n    // Without",
      "    // Without",
    ],
    ...([JUDGE, "without the right rows are there and say nothing"] as const),
  ),
  one(
    "7",
    "throttle: a replay that stands still is behind",
    ["src/throttle/read.ts", "Math.max(behind, lag ?? 0)", "lag ?? 0"],
    ...([JUDGE, "counts a replay that stands still"] as const),
  ),
  one(
    "7",
    "throttle: one hiccup of the canary is not judged",
    ["src/throttle/marks.ts", "a - b),\n          0.5,", "a - b),\n          1,"],
    ...([JUDGE, "one hiccup of the canary is not judged"] as const),
  ),
  one(
    "7",
    "throttle: nothing begins before the first reading",
    [
      BRAKE_TS,
      "const holds = () => this.#bad === null || of(this.#bad).length > 0;",
      "const holds = () => this.#bad !== null && of(this.#bad).length > 0;",
    ],
    ...([BRAKE, "nothing begins before the first reading"] as const),
  ),
  one(
    "7",
    "throttle: an applier that follows is held by nothing but what it causes",
    [BRAKE_TS, "bad.filter(({ signal }) => APPLIERS.has(signal));", "bad.filter(() => true);"],
    ...([BRAKE, "an applier that follows is slowed by what it causes itself"] as const),
  ),
];

/** The smoke checks: the last round on each table, and how the earlier ones went. */
import { millis, moment, plural } from "../../../ui/format.js";
import { type Block, type Section, toned } from "../doc.js";
import type { EventOf, History } from "../history.js";

export interface Round {
  checks: EventOf<"smoke">[];
  done: EventOf<"smoke-done">;
}

/** Every complete round, oldest first. A round that was cut off was run again. */
export function roundsOf({ events }: Pick<History, "events">): Round[] {
  const rounds: Round[] = [];
  let checks: EventOf<"smoke">[] = [];
  for (const event of events) {
    if (event.event === "smoke") checks.push(event);
    if (event.event !== "smoke-done") continue;
    // Of a round that was cut off only the repetition counts.
    rounds.push({ checks: checks.slice(-event.total), done: event });
    checks = [];
  }
  return rounds;
}

export function lastRound(history: Pick<History, "events">, on: "old" | "new"): Round | null {
  return roundsOf(history).findLast(({ done }) => done.on === on) ?? null;
}

export function smokeSection(history: History): Section {
  const rounds = roundsOf(history);
  const last = rounds.findLast(({ done }) => done.on === "new") ?? rounds.at(-1);
  const title = "Smoke checks";
  if (last === undefined) return { title, blocks: [{ kind: "text", text: "None was run.", tone: "quiet" }] };
  const { done, checks } = last;
  const where = done.on === "new" ? "the new table" : "the old table";
  const verdict: Block =
    done.failed.length === 0
      ? { kind: "text", text: `All ${done.total} passed on ${where}, ${moment(done.at)}.`, tone: "good" }
      : {
          kind: "text",
          text: `${done.failed.length} of ${done.total} FAILED on ${where}, ${moment(done.at)}.${done.next === null ? "" : ` To go back: ${done.next}`}`,
          tone: "bad",
        };
  const table: Block = {
    kind: "table",
    head: ["check", "result", "expected", "found", "took"],
    right: [4],
    rows: checks.map((one) => [
      one.check,
      one.passed ? toned("passed", "good") : toned("FAILED", "bad"),
      one.expected,
      one.found,
      millis(one.ms),
    ]),
  };
  const others = rounds.filter((round) => round !== last);
  if (others.length === 0) return { title, blocks: [verdict, table] };
  const earlier: Block = {
    kind: "text",
    tone: "quiet",
    text: `Other rounds: ${others
      .map(
        ({ done: one }) =>
          `${moment(one.at)} on the ${one.on} table, ${one.failed.length === 0 ? `${plural(one.total, "check")} passed` : `failed: ${one.failed.join(", ")}`}`,
      )
      .join("; ")}.`,
  };
  return { title, blocks: [verdict, table, earlier] };
}

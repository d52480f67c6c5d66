/**
 * A second process for the journal's tests: `node --import tsx journal-child.ts <task> <file> [argument]`. It prints one
 * JSON line for each thing its parent waits for; what it prints as done was acknowledged by the journal.
 */
import { rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { PartwayError } from "../../src/errors.js";
import { Journal, type WriteHook } from "../../state/journal.js";

export const AT = "2026-01-01T00:00:00.000Z";

/** Large enough for a transition to span many pages, so that a kill can land in the middle of one. */
export const PAYLOAD = "x".repeat(200_000);

const [task, file = "", argument = ""] = process.argv.slice(2);

function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Runs `work` and says how it failed. */
function attempt(label: string, work: () => void): void {
  try {
    work();
    say({ label, error: null });
  } catch (error) {
    if (!(error instanceof PartwayError)) throw error;
    const { kind, message, state, next, exitCode } = error;
    say({ label, error: { kind, message, state, next, exitCode } });
  }
}

function begin(journal: Journal, id: string): void {
  journal.create({
    id,
    server: "app@db:5432/app",
    table: "public.orders",
    plan: {},
    settings: {},
    snapshot: { value: "s0" },
    state: "s0",
    at: AT,
  });
}

function move(journal: Journal, id: string, n: number): void {
  const snapshot = { value: `s${n}`, padding: PAYLOAD };
  journal.transition({
    migration: id,
    from: `s${n - 1}`,
    to: `s${n}`,
    event: "NEXT",
    snapshot,
    outcome: null,
    at: AT,
  });
}

/** Kills this process at one exact point of one write: argument `3:inside`. */
const killer: WriteHook = ({ n, point }) => {
  if (`${n}:${point}` === argument) process.kill(process.pid, "SIGKILL");
};

async function onGo(work: () => void): Promise<void> {
  say("ready");
  for await (const line of createInterface({ input: process.stdin })) {
    if (line !== "go") return;
    work();
  }
}

const tasks: Record<string, () => void | Promise<void>> = {
  /** Writes transitions until killed. */
  "write-forever": () => {
    const journal = Journal.open(file, "write");
    begin(journal, "m");
    for (let n = 1; ; n += 1) {
      move(journal, "m", n);
      say(n);
    }
  },

  /** One create and three transitions, killed at the point named by the argument. */
  "killed-at": () => {
    const journal = Journal.open(file, "write", { onWrite: killer });
    begin(journal, "m");
    say(0);
    for (let n = 1; n <= 3; n += 1) {
      move(journal, "m", n);
      say(n);
    }
  },

  /** Opens (and, once, makes) the journal at "go", claims the migration, and lives until its input ends. */
  claim: () =>
    onGo(() => {
      const journal = Journal.open(file, "write");
      const owner = { pid: process.pid, host: hostname(), startedAt: AT };
      if (argument === "make")
        attempt("create", () => {
          if (journal.migration("m") === null) begin(journal, "m");
        });
      say(journal.claim("m", owner));
    }),

  /** Opens, writes and closes again and again: the write-ahead log comes and goes under the readers. */
  churn: () => {
    for (let n = 1; n <= Number(argument); n += 1) {
      const journal = Journal.open(file, "write");
      move(journal, "m", n);
      journal.close();
    }
    say("done");
  },

  /** In a small file system mounted by the parent: fills it, writes until the journal fails, makes room, writes again. */
  "fill-disk": () => {
    const journal = Journal.open(file, "write");
    begin(journal, "m");
    const filler = join(dirname(file), "filler");
    writeFileSync(filler, Buffer.alloc(1 << 20));
    let n = 0;
    attempt("write", () => {
      for (;;) {
        move(journal, "m", n + 1);
        n += 1;
      }
    });
    say({ moved: n, state: journal.migration("m")?.state, transitions: journal.transitions("m").length });
    rmSync(filler);
    attempt("after making room", () => move(journal, "m", n + 1));
    say({ state: journal.migration("m")?.state, transitions: journal.transitions("m").length });
    journal.close();
  },

  open: () =>
    attempt(`open to ${argument}`, () => Journal.open(file, argument === "read" ? "read" : "write").close()),
};

if (task !== undefined) await tasks[task]?.();

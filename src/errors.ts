/**
 * Every failure a person can meet. Each names what happened, what state things are in, and what to type next.
 * The exit codes are documented in README.md and pinned by test/errors.test.ts.
 */
export const EXIT = {
  done: 0,
  unexpected: 1,
  badInput: 2,
  refused: 3,
  difference: 4,
  stopped: 5,
  lockBusy: 6,
  drift: 7,
  smokeFailed: 8,
  unhealthy: 9,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** What kind of failure this is; the machine and the exit code both follow from it. */
export type FaultKind =
  | "bad-input"
  | "refused"
  | "difference"
  | "stopped"
  | "detached"
  | "lock-busy"
  | "drift"
  | "fenced"
  | "copy-restart"
  | "vetoed"
  | "not-safe"
  | "smoke-failed"
  | "unexpected";

const EXIT_OF: Record<FaultKind, ExitCode> = {
  "bad-input": EXIT.badInput,
  refused: EXIT.refused,
  difference: EXIT.difference,
  stopped: EXIT.stopped,
  detached: EXIT.done,
  "lock-busy": EXIT.lockBusy,
  drift: EXIT.drift,
  fenced: EXIT.unexpected,
  "copy-restart": EXIT.unexpected,
  vetoed: EXIT.refused,
  "not-safe": EXIT.refused,
  "smoke-failed": EXIT.smokeFailed,
  unexpected: EXIT.unexpected,
};

/** Every kind there is. */
export const FAULT_KINDS: readonly FaultKind[] = Object.keys(EXIT_OF).filter((kind): kind is FaultKind =>
  Object.hasOwn(EXIT_OF, kind),
);

export interface Explanation {
  /** What happened, one sentence. */
  what: string;
  /** What state things are in: was anything touched, is anything lost, can it be resumed. */
  state: string;
  /** The command to type next. */
  next: string;
}

/** An error with an operator's explanation. Nothing in it may contain a secret. */
export class PartwayError extends Error {
  readonly kind: FaultKind;
  readonly state: string;
  readonly next: string;

  constructor(kind: FaultKind, explanation: Explanation, options?: { cause?: unknown }) {
    super(explanation.what, options);
    this.name = "PartwayError";
    this.kind = kind;
    this.state = explanation.state;
    this.next = explanation.next;
  }

  get exitCode(): ExitCode {
    return EXIT_OF[this.kind];
  }
}

/** Bad input: nothing was touched. Exit code 2. */
export function badInput(what: string, next: string, cause?: unknown): PartwayError {
  return new PartwayError(
    "bad-input",
    { what, state: "Nothing was touched.", next },
    cause === undefined ? undefined : { cause },
  );
}

/** Bad input that names a table which is not there, is not partitioned or is not in care. */
export class UnknownTable extends PartwayError {
  constructor(what: string, next: string) {
    super("bad-input", { what, state: "Nothing was touched.", next });
    this.name = "UnknownTable";
  }
}

/** The message of anything thrown, for logs and for `cause` lines. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Any thrown value as a PartwayError; what is not one already becomes `unexpected`, keeping its cause. */
export function asPartwayError(error: unknown, state: string, next: string): PartwayError {
  if (error instanceof PartwayError) return error;
  return new PartwayError("unexpected", { what: messageOf(error), state, next }, { cause: error });
}

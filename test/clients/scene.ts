/** A table of the application in a database of its own, and a migration of it through the programmatic interface. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { proceed, type ResumeOptions, run } from "../../src/api.js";
import type { Intent } from "../../src/engine/intent.js";
import type { Session } from "../../src/pg/session.js";
import type { PhaseName, RunEvent } from "../../state/events.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";

export interface Clientele {
  db: TestDatabase;
  session: Session;
  /** Sees the events of what is run from now on. */
  onEvent: ((event: RunEvent) => void) | null;
  /** `partway run orders --until <phase>`, to its end. */
  run(until: PhaseName): Promise<void>;
  /** Any of the other commands, to its end. */
  go(intent: Intent, options?: Partial<ResumeOptions>): Promise<string>;
  close(): Promise<void>;
}

/** `orders` with `rows` rows over 2025, an index, and an id from a sequence. */
export async function openClientele(rows: number): Promise<Clientele> {
  const db = await freshDatabase();
  const state = await mkdtemp(join(tmpdir(), "partway-clients-"));
  const session = await db.session();
  await session.query(`CREATE TABLE public.orders (
    id bigserial PRIMARY KEY,
    note text NOT NULL,
    amount numeric NOT NULL CONSTRAINT amount_positive CHECK (amount >= 0),
    created_at timestamptz NOT NULL)`);
  await session.query(
    `INSERT INTO public.orders (note, amount, created_at)
     SELECT 'old ' || n, n, timestamptz '2025-01-01 00:00:00+00' + (n - 1) * (interval '364 days' / $1::int)
       FROM generate_series(1, $1::int) AS n`,
    [rows],
  );
  await session.query("CREATE INDEX orders_note_idx ON public.orders (note)");
  const how = {
    url: db.ownerUrl,
    state,
    lockTries: "300",
    onEvent: (event: RunEvent) => scene.onEvent?.(event),
  };
  const scene: Clientele = {
    db,
    session,
    onEvent: null,
    run: async (until) => {
      const started = await run({
        ...how,
        table: "orders",
        by: "created_at",
        every: "month",
        ahead: "1",
        backup: false,
        until,
      });
      const { error } = await started.finished;
      expect(error?.message ?? null).toBeNull();
    },
    go: async (intent, options = {}) => {
      const started = await proceed(intent, { ...how, hold: false, ...options });
      const { outcome, error } = await started.finished;
      expect(error?.message ?? null).toBeNull();
      return outcome;
    },
    close: async () => {
      await rm(state, { recursive: true, force: true });
      await db.drop();
    },
  };
  return scene;
}

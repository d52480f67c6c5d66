/** The operator of a system: the real engine with a plan made at the system's clock, not today's. */
import { expect } from "vitest";
import { proceed } from "../../src/api.js";
import { parseSettings } from "../../src/config/request.js";
import type { Intent } from "../../src/engine/intent.js";
import { openState } from "../../src/engine/state-dir.js";
import type { Plan } from "../../src/plan/types.js";
import { makeStored } from "../../src/sync/store.js";
import { planFor } from "../support/migration.js";
import type { Application } from "./application.js";
import type { System, SystemTable } from "./system.js";

/** What `partway plan` would have said at the system's clock. */
export function planTable(
  { session }: Application,
  { now }: System,
  { table, options }: SystemTable,
): Promise<Plan> {
  return planFor(session, { table, now, ...options });
}

/** `partway run`, from the journal's first row on as src/api.ts writes it; ends after cutover. */
export async function migrate({ db, session }: Application, state: string, plan: Plan): Promise<void> {
  const { journal } = openState(state, "make");
  journal.create({
    id: plan.id,
    server: db.name,
    table: `${plan.names.schema}.${plan.names.source}`,
    plan,
    settings: parseSettings({ backup: false }),
    snapshot: { value: "backup", context: { from: "backup", until: null } },
    state: "backup",
    at: new Date().toISOString(),
  });
  await makeStored(session, plan);
  await go("resume", db.ownerUrl, state, plan, "retained");
}

/** `partway rollback` or `partway finalize --force`. */
export async function end(
  intent: Extract<Intent, "rollback" | "finalize">,
  { db }: Application,
  state: string,
  plan: Plan,
): Promise<void> {
  await go(intent, db.ownerUrl, state, plan, intent === "rollback" ? "rolled-back" : "done");
}

async function go(intent: Intent, url: string, state: string, plan: Plan, must: string): Promise<void> {
  const force = intent === "finalize" ? plan.names.source : undefined;
  const { finished } = await proceed(intent, { id: plan.id, url, state, force });
  const { outcome, error } = await finished;
  expect({ intent, outcome, error: error?.message ?? null }).toEqual({ intent, outcome: must, error: null });
}

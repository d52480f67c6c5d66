/**
 * The tests of one system: each of its tables, in the order of its document, is migrated under the application, cut
 * over, compared, and finished; a sample goes back once before.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { qualified } from "../../src/pg/quote.js";
import type { Plan } from "../../src/plan/types.js";
import type { Clients } from "../migrations/clients.js";
import { assertContent, assertPartitioned } from "../migrations/journey.js";
import { leavesOf, type Shape, shapeOf, traces } from "../migrations/shape.js";
import {
  type Application,
  answers,
  assertIndexed,
  assertKeysRefuse,
  type Bonds,
  bondsOf,
  openApplication,
  relations,
} from "./application.js";
import { end, migrate, planTable } from "./operator.js";
import type { System, SystemTable } from "./system.js";

/** How many commits the application makes before each step, at least. */
const COMMITS = 12;

interface Scene {
  application: Application;
  of: SystemTable;
  /** The application on the table, and on those that a foreign key ties to it. */
  clients: Clients;
  others: { table: SystemTable; clients: Clients }[];
  before: { shape: Shape; bonds: Bonds; answers: Record<string, string[]> };
}

/** Registers the tests of `system`. */
export function systemTests(system: System): void {
  let application: Application | undefined;
  let state = "";
  beforeAll(async () => {
    state = await mkdtemp(join(tmpdir(), "partway-system-"));
    application = await openApplication(system);
  });
  afterAll(async () => {
    await application?.close();
    await rm(state, { recursive: true, force: true });
  });

  // Many leaves on a busy machine: slow is no failure.
  test.each(system.tables)("$table", { timeout: 600_000 }, async (of) => {
    if (application === undefined) throw new Error("the system could not be made");
    await withApplication(application, system, of, (scene) => wholeWay(scene, system, state));
  });
}

async function withApplication(
  application: Application,
  system: System,
  of: SystemTable,
  work: (scene: Scene) => Promise<void>,
): Promise<void> {
  const { session, user } = application;
  const before = {
    shape: await shapeOf(session, of.table),
    bonds: await bondsOf(session, of.table),
    answers: await answers(user, of.queries),
  };
  for (const [sql, rows] of Object.entries(before.answers)) expect(rows.length, sql).toBeGreaterThan(0);
  await assertKeysRefuse(user, of.refusedByKey);
  await assertIndexed(user, of.indexed);
  const clients = await application.clients(of, 3);
  const others: Scene["others"] = [];
  try {
    for (const table of system.tables.filter((one) => of.besides?.includes(one.table)))
      others.push({ table, clients: await application.clients(table, 1) });
    await work({ application, of, clients, others, before });
  } finally {
    for (const one of [{ clients }, ...others]) await one.clients.stop();
  }
}

async function wholeWay(scene: Scene, system: System, state: string): Promise<void> {
  const { application, of, clients, before } = scene;
  const { session } = application;
  if (of.back) {
    const there = await relations(session);
    const plan = await cutOver(scene, system, state);
    await end("rollback", application, state, plan);
    await still(scene, plan, async () => {
      expect(await shapeOf(session, of.table)).toEqual(before.shape);
      expect(await bondsOf(session, of.table)).toEqual(before.bonds);
      await session.query(`DROP TABLE ${qualified(plan.names.schema, plan.names.failed)}`);
      expect(await relations(session)).toEqual(there);
      expect(await traces(session)).toEqual([]);
    });
  }
  const plan = await cutOver(scene, system, state);
  await end("finalize", application, state, plan);
  await still(scene, plan, async () => {
    await assertMigrated(scene, plan);
    expect(await traces(session)).toEqual([]);
  });
  expect(clients.errors).toEqual([]);
}

async function cutOver(scene: Scene, system: System, state: string): Promise<Plan> {
  const plan = await planTable(scene.application, system, scene.of);
  expect(plan.refusals).toEqual([]);
  await scene.clients.busy(COMMITS);
  await migrate(scene.application, state, plan);
  await still(scene, plan, () => assertMigrated(scene, plan));
  return plan;
}

/** More commits, then with the application at rest: nothing is lost, and the system's queries answer as they did. */
async function still(scene: Scene, plan: Plan, look: () => Promise<void>): Promise<void> {
  const { application, of, clients, others, before } = scene;
  const { session, user } = application;
  await clients.busy(COMMITS);
  for (const one of [{ clients }, ...others]) await one.clients.rest();
  await assertContent({ session, clients, table: of.table, plan });
  for (const one of others) await assertOther(application, one);
  expect(await answers(user, of.queries)).toEqual(before.answers);
  await assertKeysRefuse(user, of.refusedByKey);
  await assertIndexed(user, of.indexed);
  await look();
  for (const one of [{ clients }, ...others]) one.clients.go();
}

/** The application of another table noticed nothing either. */
async function assertOther(
  { session }: Application,
  { table, clients }: Scene["others"][number],
): Promise<void> {
  await assertContent({ session, clients, table: table.table, plan: { key: [{ name: "id", type: "" }] } });
}

/** The catalog as promised, the document's leaf names with their bounds, and everything that hangs on the table. */
async function assertMigrated({ application, of, before }: Scene, plan: Plan): Promise<void> {
  const { session } = application;
  const { table } = of;
  await assertPartitioned({ session, table, plan, before: before.shape });
  const leaves = await leavesOf(session, table);
  const names = leaves.map((leaf) => leaf.name);
  const golden = Object.keys(of.golden);
  expect({ leaves: names.length, first: names[0], last: names.at(-1) }).toEqual({
    leaves: of.leaves,
    first: golden[0],
    last: golden.at(-1),
  });
  expect(
    Object.fromEntries(
      leaves.filter(({ name }) => golden.includes(name)).map(({ name, bound }) => [name, bare(bound)]),
    ),
  ).toEqual(of.golden);
  // A key of id alone cannot be referenced any more: the operator was told, and had said --incoming-fk drop.
  expect(await bondsOf(session, table)).toEqual({ ...before.bonds, referencedBy: [] });
}

/** `2025-01-01 2025-02-01` of FOR VALUES FROM ('2025-01-01 00:00:00') TO ('2025-02-01 00:00:00'). */
function bare(bound: string): string {
  return bound
    .replaceAll(/ 00:00:00(\+00)?'/g, "'")
    .replace(/^FOR VALUES FROM \('(.*)'\) TO \('(.*)'\)$/, "$1 $2")
    .replace(/^FOR VALUES WITH \((.*)\)$/, "$1");
}

/**
 * Random legal tables with everything mixed: migrated under writers, compared in content and catalog, rolled back and
 * compared again. PARTWAY_TABLES=n for n of them (`npm run campaign:tables`), PARTWAY_SEED to repeat a run.
 */
import fc from "fast-check";
import { expect, inject, test } from "vitest";
import { attachments } from "../migrations/attached.js";
import { journey } from "../migrations/journey.js";
import { choices, described, scenarioOf } from "./tables-choice.js";

const RUNS = Number(process.env["PARTWAY_TABLES"] ?? "2");
/** An ordinary run is the same every time; a campaign looks elsewhere each time, and prints where. */
const SEED = Number(process.env["PARTWAY_SEED"] ?? (RUNS > 2 ? Date.now() % 1_000_000 : 7));

test(
  "a table that nobody thought of would lose something",
  async () => {
    let done = 0;
    console.info(`PARTWAY_SEED=${SEED}: ${RUNS} tables on PostgreSQL ${inject("server").version}`);
    await fc.assert(
      fc.asyncProperty(choices, async (choice) => {
        const scenario = scenarioOf(choice);
        let before: string[] = [];
        await journey(scenario, {
          planned: async ({ session, table }) => {
            before = await attachments(session, table);
          },
          cutOver: async ({ session, table }) => {
            const dropped = scenario.options.incomingFk === "drop";
            const kept = before.filter((line) => !(dropped && /^foreign key \S*child /.test(line)));
            expect(await attachments(session, table)).toEqual(kept);
          },
          rolledBack: async ({ session, table }) => {
            expect(await attachments(session, table)).toEqual(before);
          },
        }).catch((error: unknown) => {
          throw new Error(`${described(choice)}`, { cause: error });
        });
        done += 1;
        if (RUNS > 5) console.info(`${done} of ${RUNS}: ${described(choice)}`);
      }),
      { numRuns: RUNS, seed: SEED, endOnFailure: true },
    );
    expect(done).toBe(RUNS);
  },
  RUNS * 240_000,
);

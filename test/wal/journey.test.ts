/** `--capture wal`: no trigger on the source, keys from a slot; the whole way under writers, and nothing is lost. */
import { describe, expect, test } from "vitest";
import type { Session } from "../../src/pg/session.js";
import type { Scenario } from "../migrations/journey.js";
import { journey } from "../migrations/journey.js";
import { lines } from "../migrations/shape.js";

const AT = "at timestamptz NOT NULL DEFAULT '2026-08-15'";
const ANY = "'2026-07-02'::timestamptz + random() * interval '120 days'";

const NOTE = "note = coalesce(note, '') || '+'";

const SETUP = (key: string, rest = "note2 text") => [
  `CREATE TABLE public.t (${key}, ${AT}, note text, ${rest})`,
  "CREATE SEQUENCE public.ids START 10000",
  `INSERT INTO public.t (id, at) SELECT g, '2026-07-02'::timestamptz + g * interval '4 hours' FROM generate_series(1, 600) g`,
];

const captured = (setup: string[], rest: Pick<Scenario, "insert" | "updates">): Scenario => ({
  superuserSetup: ["ALTER ROLE {owner} REPLICATION"],
  setup,
  options: { by: "at", every: "month", ahead: "1", capture: "wal" },
  ...rest,
});

/** What a capture from the write-ahead log leaves behind if it is not taken away. */
const left = (session: Session) =>
  lines(
    session,
    `SELECT 'slot ' || slot_name AS line FROM pg_replication_slots WHERE database = current_database()
     UNION ALL SELECT 'publication ' || pubname FROM pg_publication ORDER BY 1`,
  );

/** The other tables: `PARTWAY_TEST_FULL=1`. */
const FULL = process.env["PARTWAY_TEST_FULL"] === "1";

describe("under writers, to cutover, through the window and back", () => {
  test("a primary key without the partition key: both are changed, and rows found by key", async () => {
    await journey(
      captured(SETUP("id int PRIMARY KEY"), {
        insert: `(id, at) VALUES (nextval('public.ids'), ${ANY})`,
        updates: [
          "id = nextval('public.ids')",
          `id = nextval('public.ids'), at = ${ANY}`,
          `at = ${ANY}`,
          NOTE,
        ],
      }),
      {
        cutOver: async ({ session, plan, events }) => {
          expect(await left(session)).toEqual([]);
          expect(plan.request.capture).toBe("wal");
          expect(plan.warnings?.map(({ code }) => code)).toEqual(["wal-kept", "wal-key-only"]);
          expect(events.filter(({ event }) => event === "repaired" || event === "difference")).toEqual([]);
        },
        rolledBack: async ({ session }) => expect(await left(session)).toEqual([]),
      },
    );
  });

  test.runIf(FULL)("a key of three columns with the partition key", async () => {
    await journey(
      captured(SETUP("id int NOT NULL", `kind text NOT NULL DEFAULT 'é"', PRIMARY KEY (id, kind, at)`), {
        insert: `(id, kind, at) VALUES (nextval('public.ids'), '\\', ${ANY})`,
        updates: [`at = ${ANY}`, "id = nextval('public.ids')", "kind = kind || '-'", NOTE],
      }),
    );
  });

  test.runIf(FULL)("REPLICA IDENTITY FULL, and a key that is no primary key", async () => {
    await journey(
      captured([...SETUP("id int NOT NULL UNIQUE"), "ALTER TABLE public.t REPLICA IDENTITY FULL"], {
        insert: `(id, at) VALUES (nextval('public.ids'), ${ANY})`,
        updates: ["id = nextval('public.ids')", `at = ${ANY}`, NOTE],
      }),
    );
  });
});

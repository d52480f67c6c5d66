/** What stands on the table or reads it goes over with the name, works at once, and comes back on rollback. */
import { describe, expect, test } from "vitest";
import { parseStoredPlan } from "../../src/engine/stored-plan.js";
import { sqlState } from "../../src/pg/sqlstate.js";
import { mustReadStored } from "../../src/sync/store.js";
import { verdict } from "../../src/sync/verdict.js";
import { attachments } from "./attached.js";
import { journey, type Scenario, type Scene } from "./journey.js";
import { lines } from "./shape.js";

const ANY = "'2026-07-02'::timestamptz + random() * interval '120 days'";

const base = (over: { setup: string[] } & Omit<Partial<Scenario>, "setup">): Scenario => ({
  options: { by: "at", every: "month", ahead: "1" },
  insert: `(at, org, status) VALUES (${ANY}, 1 + (random() * 3)::int, 'new')`,
  updates: ["status = 'done'", "org = 1 + org % 4", `at = ${ANY}`],
  ...over,
  setup: [
    "CREATE TABLE public.org (id int PRIMARY KEY, name text)",
    "INSERT INTO public.org SELECT g, 'org ' || g FROM generate_series(1, 9) g",
    `CREATE TABLE public.t (id bigserial PRIMARY KEY, at timestamptz NOT NULL, org int NOT NULL DEFAULT 1, status text NOT NULL DEFAULT 'new')`,
    `INSERT INTO public.t (at, org, status)
     SELECT '2026-07-02'::timestamptz + g * interval '6 hours', 1 + g % 4, 'old' FROM generate_series(1, 400) g`,
    ...over.setup,
  ],
});

/** The whole way, with the attachments the same at each stop. */
async function carried(scenario: Scenario, check?: (scene: Scene) => Promise<void>): Promise<void> {
  let before: string[] = [];
  const same = async (scene: Scene) => {
    expect(await attachments(scene.session, scene.table)).toEqual(before);
    await check?.(scene);
  };
  await journey(scenario, {
    planned: async ({ session, table }) => {
      before = await attachments(session, table);
    },
    cutOver: same,
    rolledBack: same,
  });
}

const stateOf = (work: Promise<unknown>) => work.then(() => null, sqlState);

describe("foreign keys", () => {
  test("a row without its parent would be taken, or the application's delete of a parent refused by a stale copy", async () => {
    await carried(
      base({
        setup: [
          "ALTER TABLE public.t ADD CONSTRAINT t_org FOREIGN KEY (org) REFERENCES public.org ON DELETE CASCADE",
          "COMMENT ON CONSTRAINT t_org ON public.t IS 'whose it is'",
          "CREATE TABLE public.region (code text PRIMARY KEY)",
          "INSERT INTO public.region VALUES ('new'), ('done'), ('old')",
          `ALTER TABLE public.t ADD CONSTRAINT "T status" FOREIGN KEY (status) REFERENCES public.region
             ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED`,
        ],
      }),
      async ({ session }) => {
        expect(await stateOf(session.query("INSERT INTO public.t (at, org) VALUES ('2026-08-01', 77)"))).toBe(
          "23503",
        );
        const counts = () => lines(session, "SELECT count(*)::text AS line FROM public.t");
        const count = await counts();
        await session.query("INSERT INTO public.org VALUES (50, 'short')");
        await session.query("INSERT INTO public.t (at, org) VALUES ('2026-08-01', 50), ('2026-09-01', 50)");
        await session.query("DELETE FROM public.org WHERE id = 50");
        expect(await counts()).toEqual(count);
      },
    );
  });

  test("of other tables: dropped when the operator says so, and back on rollback", async () => {
    let before: string[] = [];
    await journey(
      base({
        setup: [
          "CREATE TABLE public.child (id int PRIMARY KEY, t bigint, CONSTRAINT child_t FOREIGN KEY (t) REFERENCES public.t ON DELETE SET NULL)",
          // No row refers to one that the clients may delete while nothing forbids it.
          "INSERT INTO public.child SELECT g, NULL FROM generate_series(1, 20) g",
          "ALTER TABLE public.t ADD COLUMN parent bigint REFERENCES public.t",
        ],
        options: { by: "at", every: "month", ahead: "1", incomingFk: "drop" },
      }),
      {
        planned: async ({ session, table }) => {
          before = await attachments(session, table);
        },
        cutOver: async ({ session, table }) => {
          expect(await attachments(session, table)).toEqual(
            before.filter((line) => !/ REFERENCES public\.t\b/.test(line)),
          );
        },
        rolledBack: async ({ session, table }) => {
          expect(await attachments(session, table)).toEqual(before);
        },
      },
    );
  });

  test("of other tables: pointed at the new table where the columns stay unique", async () => {
    await carried(
      base({
        setup: [
          "ALTER TABLE public.t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id, at)",
          `CREATE TABLE public.child (id int PRIMARY KEY, t bigint, at timestamptz,
             CONSTRAINT child_t FOREIGN KEY (t, at) REFERENCES public.t ON UPDATE CASCADE ON DELETE CASCADE)`,
          "INSERT INTO public.child SELECT row_number() OVER (), id, at FROM public.t LIMIT 50",
        ],
        options: { by: "at", every: "month", ahead: "1", incomingFk: "repoint" },
      }),
      async ({ session }) => {
        expect(await stateOf(session.query("INSERT INTO public.child VALUES (9999, -1, '2026-08-01')"))).toBe(
          "23503",
        );
      },
    );
  });
});

describe("triggers", () => {
  /** Of the audited ones; f_off is switched off, h_replica fires for a subscription alone. */
  const FIRED = [
    'J Odd "name DELETE',
    "c_changed UPDATE",
    "d_statement DELETE",
    "d_statement UPDATE",
    "e_transition INSERT",
    "g_always DELETE",
    "i_constraint INSERT",
  ];
  const AUDIT = [
    "CREATE TABLE public.booked (id bigint)",
    `CREATE FUNCTION public.book() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $f$
     BEGIN INSERT INTO public.booked VALUES (NEW.id); RETURN NULL; END $f$`,
    "CREATE TABLE public.audit (seq bigserial, what text)",
    `CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $f$
     BEGIN INSERT INTO public.audit (what) VALUES (TG_NAME || ' ' || TG_OP); RETURN coalesce(NEW, OLD); END $f$`,
    `CREATE FUNCTION public.stamp() RETURNS trigger LANGUAGE plpgsql AS $f$
     BEGIN NEW.status := lower(NEW.status); RETURN NEW; END $f$`,
  ];

  test("a trigger would be gone, fire twice, or fire for Partway's own writes", async () => {
    /** Each row the clients wrote was booked once, whichever table had the name, and none for Partway's own writes. */
    const audited = async ({ session }: Scene) => {
      const wrong = `SELECT id::text AS line FROM public.booked GROUP BY id HAVING count(*) > 1
        UNION ALL SELECT id::text FROM public.t WHERE id > 400 AND id NOT IN (SELECT id FROM public.booked)
        UNION ALL SELECT id::text FROM public.booked WHERE id <= 400
        UNION ALL SELECT status FROM public.t WHERE status <> lower(status)`;
      expect(await lines(session, wrong)).toEqual([]);
      expect(await lines(session, "SELECT DISTINCT what AS line FROM public.audit ORDER BY 1")).toEqual(
        FIRED,
      );
    };
    await carried(
      base({
        setup: [
          ...AUDIT,
          "CREATE TRIGGER a_noted AFTER INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.book()",
          "CREATE TRIGGER b_stamped BEFORE INSERT OR UPDATE OF status ON public.t FOR EACH ROW WHEN (NEW.status <> lower(NEW.status)) EXECUTE FUNCTION public.stamp()",
          "CREATE TRIGGER c_changed AFTER UPDATE ON public.t FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION public.note('a', 'b c')",
          "CREATE TRIGGER d_statement AFTER UPDATE OR DELETE OR TRUNCATE ON public.t FOR EACH STATEMENT EXECUTE FUNCTION public.note()",
          "CREATE TRIGGER e_transition AFTER INSERT ON public.t REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION public.note()",
          "CREATE TRIGGER f_off AFTER INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.note()",
          "ALTER TABLE public.t DISABLE TRIGGER f_off",
          "CREATE TRIGGER g_always AFTER DELETE ON public.t FOR EACH ROW EXECUTE FUNCTION public.note()",
          "ALTER TABLE public.t ENABLE ALWAYS TRIGGER g_always",
          "CREATE TRIGGER h_replica AFTER DELETE ON public.t FOR EACH ROW EXECUTE FUNCTION public.note()",
          "ALTER TABLE public.t ENABLE REPLICA TRIGGER h_replica",
          "CREATE CONSTRAINT TRIGGER i_constraint AFTER INSERT ON public.t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.note()",
          `CREATE TRIGGER "J Odd ""name" AFTER DELETE ON public.t FOR EACH ROW EXECUTE FUNCTION public.note('is ON public.t now')`,
          "COMMENT ON TRIGGER a_noted ON public.t IS 'for the books'",
        ],
        // No row moves: one that does fires the triggers of DELETE and INSERT on the partitioned table.
        insert: `(at, org, status) VALUES (${ANY}, 1, 'NEW')`,
        updates: ["status = 'DONE'", "org = 1 + org % 4"],
      }),
      audited,
    );
  });
});

describe("row security, views, functions, publications, statistics", () => {
  test("somebody would see rows that are not his, or rows of the old table", async () => {
    await carried(
      base({
        roles: ["reader"],
        setup: [
          "ALTER TABLE public.t ENABLE ROW LEVEL SECURITY",
          "CREATE POLICY mine ON public.t FOR SELECT TO {reader} USING (org = 2 AND EXISTS (SELECT FROM public.org o WHERE o.id = t.org))",
          "CREATE POLICY writes ON public.t AS RESTRICTIVE FOR INSERT WITH CHECK (org < 5)",
          "COMMENT ON POLICY mine ON public.t IS 'only his'",
          "GRANT SELECT ON public.t, public.org TO {reader}",
          "ALTER TABLE public.org ENABLE ROW LEVEL SECURITY",
          "CREATE POLICY used ON public.org USING (EXISTS (SELECT FROM public.t x WHERE x.org = org.id))",
          "CREATE VIEW public.recent WITH (security_barrier = true) AS SELECT id, at, status FROM public.t WHERE status = 'old' WITH LOCAL CHECK OPTION",
          "CREATE VIEW public.counted AS SELECT o.name, count(*) AS n FROM public.t JOIN public.org o ON o.id = t.org GROUP BY o.name",
          "CREATE VIEW public.outer_view AS SELECT * FROM public.counted WHERE n > 1",
          "GRANT SELECT ON public.recent TO {reader}",
          "COMMENT ON VIEW public.recent IS 'the old ones'",
          `CREATE FUNCTION public.how_many(o int) RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT count(*) FROM public.t WHERE org = o; END`,
          "COMMENT ON FUNCTION public.how_many IS 'rows of one'",
          "CREATE STATISTICS public.org_status (ndistinct, mcv) ON org, status FROM public.t",
          "ALTER STATISTICS public.org_status SET STATISTICS 250",
          "COMMENT ON STATISTICS public.org_status IS 'they go together'",
          "CREATE STATISTICS public.by_day ON (date_trunc('day', at AT TIME ZONE 'UTC')) FROM public.t",
          "CREATE PUBLICATION {db} FOR TABLE public.t WITH (publish_via_partition_root = true)",
          "ALTER TABLE public.t REPLICA IDENTITY FULL",
        ],
        superuserSetup: ["GRANT CREATE ON DATABASE {db} TO {owner}"],
      }),
      async ({ session }) => {
        const one = (sql: string) => lines(session, sql);
        expect(await one("SELECT count(*)::text AS line FROM public.t WHERE org = 3")).toEqual(
          await one("SELECT public.how_many(3)::text AS line"),
        );
        expect(await one("SELECT sum(n)::text AS line FROM public.outer_view")).toEqual(
          await one("SELECT count(*)::text AS line FROM public.t"),
        );
      },
    );
  });
});

describe("what the application made, changed or dropped during the window", () => {
  test("would be gone after a rollback, or what it had dropped would be back", async () => {
    const scenario = base({
      roles: ["reader"],
      superuserSetup: ["GRANT CREATE ON DATABASE {db} TO {owner}"],
      setup: [
        "CREATE SCHEMA app",
        "CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NULL; END $f$",
        "CREATE TRIGGER stays AFTER INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.keep()",
        "CREATE TRIGGER goes AFTER INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.keep()",
        "CREATE TRIGGER changes AFTER INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.keep()",
        "ALTER TABLE public.t ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY first_one ON public.t FOR SELECT TO {reader} USING (org = 1)",
        "CREATE POLICY second_one ON public.t FOR SELECT TO {reader} USING (org = 2)",
        "CREATE VIEW app.changed AS SELECT id, status FROM public.t",
        "CREATE VIEW app.dropped AS SELECT id FROM public.t",
        "ALTER TABLE public.t ADD CONSTRAINT to_org FOREIGN KEY (org) REFERENCES public.org, ADD CONSTRAINT gone_fk FOREIGN KEY (org) REFERENCES public.org ON DELETE CASCADE",
      ],
    });
    let inWindow: string[] = [];
    await journey(scenario, {
      triggersChange: true,
      cutOver: async ({ session, table }) => {
        for (const sql of [
          "DROP TRIGGER goes ON public.t",
          "ALTER TABLE public.t DISABLE TRIGGER changes",
          "CREATE TRIGGER comes AFTER DELETE ON public.t FOR EACH ROW EXECUTE FUNCTION public.keep()",
          "DROP POLICY first_one ON public.t",
          "ALTER POLICY second_one ON public.t USING (org = 3 AND status <> 'x')",
          "CREATE POLICY third_one ON public.t FOR INSERT WITH CHECK (org > 0)",
          "CREATE OR REPLACE VIEW app.changed AS SELECT id, status FROM public.t WHERE org = 1",
          "DROP VIEW app.dropped",
          "CREATE VIEW app.made AS SELECT count(*) AS n FROM public.t",
          "CREATE FUNCTION public.made_too() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM public.t; END",
          "ALTER TABLE public.t DROP CONSTRAINT gone_fk",
        ])
          await session.query(sql);
        inWindow = await attachments(session, table);
      },
      rolledBack: async ({ session, table }) => {
        expect(await attachments(session, table)).toEqual(inWindow);
        expect(
          await lines(session, "SELECT (n = public.made_too() AND n > 0)::text AS line FROM app.made"),
        ).toEqual(["true"]);
      },
    });
  });

  test("a foreign key made in it would come back NOT VALID, one that cannot come back would forbid the rollback", async () => {
    await journey(
      base({
        setup: [
          "CREATE TABLE public.child (id int PRIMARY KEY, t bigint CONSTRAINT child_t REFERENCES public.t)",
          "CREATE TABLE public.other (id int PRIMARY KEY, t bigint CONSTRAINT other_t REFERENCES public.t)",
        ],
        options: { by: "at", every: "month", ahead: "1", incomingFk: "drop" },
      }),
      {
        triggersChange: true,
        cutOver: async ({ session }) => {
          await session.query("ALTER TABLE public.child DROP COLUMN t");
          await session.query(
            "ALTER TABLE public.t ADD CONSTRAINT fresh FOREIGN KEY (org) REFERENCES public.org",
          );
        },
        rolledBack: async ({ session, events }) => {
          expect(
            await lines(
              session,
              "SELECT conname || ' ' || convalidated AS line FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND conparentid = 0 ORDER BY 1",
            ),
          ).toEqual(["fresh true", "other_t true"]);
          expect(JSON.stringify(events)).toMatch(
            /child_t of public\.child was given up .* is not brought back/,
          );
        },
      },
    );
  });

  test("a rule on a view would go on writing to the table that lost the name", async () => {
    await journey(
      base({ setup: ["CREATE VIEW public.v AS SELECT status, count(*) AS n FROM public.t GROUP BY status"] }),
      {
        cutOver: async ({ session }) => {
          await session.query(
            "CREATE RULE w AS ON INSERT TO public.v DO INSTEAD INSERT INTO public.t (at, status) VALUES ('2026-08-01', NEW.status)",
          );
          const [id] = await lines(session, "SELECT id AS line FROM partway.migration");
          const stored = await mustReadStored(session, id ?? "");
          const { safe, sentence } = await verdict(
            session,
            parseStoredPlan(stored.id, stored.planJson),
            stored,
          );
          expect({ safe, sentence }).toEqual({
            safe: false,
            sentence: expect.stringContaining("w on public.v"),
          });
          await session.query("DROP RULE w ON public.v");
        },
      },
    );
  });
});

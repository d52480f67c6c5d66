/** Every index is there under its old name, valid, on every leaf exactly once, and gives its name back on rollback. */
import { describe, expect, inject, test } from "vitest";
import { atLeast } from "../support/versions.js";
import { journey, type Scenario } from "./journey.js";
import { lines } from "./shape.js";

/** It came with 15. */
const NULLS = atLeast(inject("server").version, "15") ? "NULLS NOT DISTINCT" : "";
const ANY = "'2026-07-02'::timestamptz + random() * interval '120 days'";

const table = (...indexes: string[]): Scenario => ({
  setup: [
    `CREATE TABLE public.t (id bigserial PRIMARY KEY, at timestamptz NOT NULL, org int NOT NULL DEFAULT 1, status text NOT NULL DEFAULT 'new',
       data jsonb NOT NULL DEFAULT '{}', spot point NOT NULL DEFAULT '(0,0)', span tstzrange, code text)`,
    `INSERT INTO public.t (at, org, status, data, spot, span, code)
     SELECT '2026-07-02'::timestamptz + g * interval '6 hours', g % 9, (ARRAY['new', 'done'])[1 + g % 2], jsonb_build_object('k', g),
            point(g, g), tstzrange('2026-01-01', '2026-01-02'), 'c' || g FROM generate_series(1, 400) g`,
    ...indexes,
  ],
  options: { by: "at", every: "month", ahead: "1" },
  insert: `(at, org, code) VALUES (${ANY}, 3, gen_random_uuid()::text)`,
  updates: [
    "status = 'done'",
    "org = org + 1, data = data || '{\"x\": 1}'",
    "spot = point(1, 1)",
    `at = ${ANY}`,
  ],
});

describe("a query of the application would become slow, or a guarantee would be gone", () => {
  test("btree: several columns, order, INCLUDE, partial, expression, operator class, collation, fillfactor", async () => {
    await journey(
      table(
        "CREATE INDEX idx_jobs_org_status ON public.t (org, status)",
        `CREATE INDEX "By Org, newest" ON public.t (org, at DESC NULLS LAST)`,
        "CREATE INDEX covering ON public.t (org) INCLUDE (status, code) WITH (fillfactor = 70)",
        "CREATE INDEX idx_leads_active_stage ON public.t (status, at) WHERE status IN ('queued', 'searched', 'written')",
        "CREATE INDEX lowered ON public.t (lower(code), (org + 1))",
        `CREATE INDEX patterns ON public.t (code text_pattern_ops, status COLLATE "C")`,
        "CREATE INDEX plain_without_dedup ON public.t (code) WITH (deduplicate_items = off)",
        "CREATE INDEX ON public.t (at)",
        "CREATE INDEX ON public.t (at)",
        "COMMENT ON INDEX public.covering IS 'for the list'",
      ),
    );
  });

  test("hash, gin on jsonb, gist, spgist, brin, with their parameters", async () => {
    await journey(
      table(
        "CREATE INDEX hashed ON public.t USING hash (code)",
        "CREATE INDEX ginned ON public.t USING gin (data) WITH (fastupdate = off)",
        "CREATE INDEX pathed ON public.t USING gin (data jsonb_path_ops)",
        "CREATE INDEX gisted ON public.t USING gist (span, spot)",
        "CREATE INDEX spgisted ON public.t USING spgist (spot)",
        "CREATE INDEX brinned ON public.t USING brin (at) WITH (pages_per_range = 8, autosummarize = on)",
      ),
    );
  });

  test("unique with the partition column: index, constraint, NULLS NOT DISTINCT, partial; each goes on refusing", async () => {
    await journey(
      table(
        "CREATE UNIQUE INDEX one_code_at ON public.t (code, at)",
        "ALTER TABLE public.t ADD CONSTRAINT at_code_org UNIQUE (at, code, org) INCLUDE (status)",
        `ALTER TABLE public.t ADD CONSTRAINT nulls_too UNIQUE ${NULLS} (at, code, span)`,
        `CREATE UNIQUE INDEX nulls_too_index ON public.t (span, code, at) ${NULLS}`,
        "CREATE UNIQUE INDEX one_done ON public.t (code, at) WHERE status = 'done'",
        "CREATE UNIQUE INDEX one_lower ON public.t (lower(code), at)",
        "COMMENT ON INDEX public.one_code_at IS 'an index''s comment'",
        "COMMENT ON INDEX public.at_code_org IS 'the index of a constraint'",
      ),
      {
        cutOver: async ({ session }) => {
          const [row] = await lines(session, "SELECT id::text AS line FROM public.t LIMIT 1");
          const again = `INSERT INTO public.t (at, org, status, code, span) SELECT at, org, status, code, span FROM public.t WHERE id = $1`;
          await expect(session.query(again, [row ?? ""])).rejects.toThrow(/unique constraint/);
        },
      },
    );
  });

  test("comments of the constraints that indexes serve", async () => {
    await journey(
      table(
        "ALTER TABLE public.t ADD CONSTRAINT at_code_org UNIQUE (at, code, org)",
        "COMMENT ON CONSTRAINT at_code_org ON public.t IS 'agreed with billing'",
        "COMMENT ON CONSTRAINT t_pkey ON public.t IS 'the key'",
      ),
    );
  });

  test("a CLUSTER mark", async () => {
    await journey(table("CREATE INDEX by_org ON public.t (org)", "ALTER TABLE public.t CLUSTER ON by_org"), {
      planned: async ({ plan }) => {
        expect(plan.consequences.map((c) => c.code)).toContain("cluster-mark-lost");
      },
      rolledBack: async ({ session }) => {
        expect(
          await lines(
            session,
            "SELECT indexrelid::regclass::text AS line FROM pg_index WHERE indisclustered AND indrelid = 'public.t'::regclass",
          ),
        ).toEqual(["public.by_org"]);
      },
    });
  });

  test("names as long as names get, that differ at the end only", async () => {
    const long = (end: string) => `"${"i".repeat(62)}${end}"`;
    await journey(
      table(
        `CREATE INDEX ${long("a")} ON public.t (org)`,
        `CREATE INDEX ${long("b")} ON public.t (org)`,
        `CREATE UNIQUE INDEX ${long("c")} ON public.t (code, at)`,
      ),
    );
  });
});

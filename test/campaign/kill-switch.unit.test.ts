import { expect, test } from "vitest";
import { changes, kindOf } from "../../src/kill-switch.js";

test.each([
  "INSERT INTO t VALUES (1)",
  "  UPDATE t SET a = 1",
  "WITH gone AS (DELETE FROM t RETURNING *) SELECT count(*) FROM gone",
  "WITH moved AS (UPDATE t AS x SET a = 1 RETURNING 1) SELECT 1",
  "SELECT setval('s', 1)",
  "SELECT count(nextval('s'::regclass)) FROM generate_series(1, 3)",
  "SELECT pg_try_advisory_lock(1)",
  "SELECT pg_advisory_unlock(1)",
  "SELECT pg_terminate_backend (1)",
  "SELECT pg_cancel_backend($1::int)",
  "SELECT cron.schedule_in_database($1, $2, $3, $4, NULL, $5::boolean)::text AS id",
  "SELECT cron.unschedule($1::bigint)::text AS done",
  "CREATE INDEX i ON t (a)",
  "VACUUM (FREEZE, ANALYZE) t",
  "ANALYZE t",
  "COMMENT ON TABLE t IS 'x'",
  "COPY t FROM STDIN",
  "DO $$ BEGIN NULL; END $$",
  "BEGIN; UPDATE t SET a = 1",
  "SELECT 1; DROP TABLE t",
  "REFRESH MATERIALIZED VIEW m",
  "SOMETHING NEW",
])("nobody would be killed at: %s", (sql) => {
  expect(changes(sql)).toBe(true);
});

test.each([
  "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
  "ROLLBACK TO SAVEPOINT locks",
  "SET LOCAL lock_timeout = 100",
  "LOCK TABLE t IN ACCESS EXCLUSIVE MODE",
  "SELECT epoch FROM partway.migration WHERE id = $1 FOR SHARE",
  "SELECT 1 FROM t FOR UPDATE",
  "SELECT pg_catalog.set_config('a', 'b', true)",
  "WITH a AS (SELECT 1) SELECT * FROM a",
  "COPY (SELECT 1) TO STDOUT",
])("the campaign would kill at what changes nothing: %s", (sql) => {
  expect(changes(sql)).toBe(false);
});

test("leaves, migrations and numbers would each count as a statement of its own", () => {
  const kind = kindOf(
    'ALTER TABLE "public"."orders_2026_q1" ENABLE ALWAYS TRIGGER "partway_rev_orders_1e1d8a"',
  );
  expect(kind).toBe(
    kindOf('ALTER TABLE "public"."orders_2027_q3" ENABLE ALWAYS TRIGGER "partway_rev_orders_abcdef"'),
  );
  expect(kind).not.toBe(
    kindOf('ALTER TABLE "public"."orders" ENABLE ALWAYS TRIGGER "partway_rev_orders_1e1d8a"'),
  );
});

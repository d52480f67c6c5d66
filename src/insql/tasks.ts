/** What people and pg_cron call to change something, under the names of the documents. */
import { CARE_SQL } from "../care/store.js";
import { HOLD_MS } from "./changes.js";
import type { SqlFunction } from "./function.js";

const ROWS = "TABLE(result text, parent_table text, partition_name text, row_count bigint, ok boolean)";

const BUSY = `'Nothing done: another partway maintain, or one of these functions, is at work in this database'`;

export const TASKS: readonly SqlFunction[] = [
  {
    name: "_in_care",
    args: "of_table text",
    returns: "TABLE(oid oid)",
    volatility: "STABLE",
    language: "plpgsql",
    about: "the table named, which must be in care; all that are where none is named",
    body: /*sql*/ `
DECLARE
  found oid;
BEGIN
  IF of_table IS NULL THEN
    RETURN QUERY SELECT r.oid FROM partway.partition_config c JOIN pg_class r ON r.oid = c.table_name::oid
      ORDER BY c.table_name::text COLLATE "C";
    RETURN;
  END IF;
  found := partway._find(of_table);
  IF NOT EXISTS (SELECT FROM partway.partition_config c WHERE c.table_name::oid = found) THEN
    RAISE EXCEPTION '% is not in care: it has no row in partway.partition_config', of_table
      USING ERRCODE = 'no_data_found', HINT = format('Take it over first: partway adopt %s', of_table);
  END IF;
  RETURN QUERY SELECT found;
END`,
  },
  {
    name: "_run",
    args: "named text, phases text[], months integer, dry_run boolean",
    returns: ROWS,
    volatility: "VOLATILE",
    language: "plpgsql",
    about: "the phases, each for all tables before the next begins, so that strong locks come last",
    body: /*sql*/ `
DECLARE
  tables oid[];
  expired jsonb := '{}';
  phase text;
  one oid;
  at int;
  why text;
  row_of record;
BEGIN
  -- The policies would be those of the first statement, the clock today's.
  IF NOT dry_run AND current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
    RAISE EXCEPTION 'partway: nothing is changed in a transaction that is %: it would go by policies and leaves that are old by now',
      current_setting('transaction_isolation')
      USING ERRCODE = 'invalid_transaction_state', HINT = 'BEGIN ISOLATION LEVEL READ COMMITTED, or call it outside a transaction.';
  END IF;
  tables := ARRAY(SELECT c.oid FROM partway._in_care(named) AS c);
  IF NOT dry_run AND NOT partway._alone() THEN
    result := ${BUSY};
    ok := false;
    RAISE WARNING '%', result;
    RETURN NEXT;
    RETURN;
  END IF;
  IF NOT dry_run AND named IS NULL AND 'metadata' = ANY (phases) THEN
    BEGIN
      ${CARE_SQL.forget.trim()};
    EXCEPTION WHEN insufficient_privilege THEN
      RAISE WARNING 'partway: the policies of tables that are gone were not removed: %', SQLERRM;
    END;
  END IF;
  FOREACH one IN ARRAY tables LOOP
    SELECT p.shown, p.is_enabled INTO row_of FROM partway._policy(one) AS p;
    why := partway._refused(one);
    parent_table := row_of.shown;
    IF NOT row_of.is_enabled OR why IS NOT NULL THEN
      tables := array_remove(tables, one);
      ok := why IS NULL;
      result := CASE WHEN NOT row_of.is_enabled THEN format('Skipped: %s: disabled in partway.partition_config', parent_table)
                     ELSE format('Refused: %s: %s', parent_table, why) END;
      IF NOT row_of.is_enabled THEN ok := true; END IF;
      IF NOT ok THEN RAISE WARNING '%', result; END IF;
      RETURN NEXT;
    ELSIF 'drop' = ANY (phases) THEN
      -- Of all tables, before the first strong lock: what reads a catalog and leaves must not be waited for by others.
      BEGIN
        expired := expired || jsonb_build_object(one::text, partway._to_retire(one, months, partway._beyond(one)));
      EXCEPTION WHEN lock_not_available OR deadlock_detected OR insufficient_privilege THEN
        result := format('Not done: drop of %s: %s', parent_table, SQLERRM);
        ok := false;
        RAISE WARNING 'partway: %', result;
        RETURN NEXT;
      END;
    END IF;
  END LOOP;
  FOREACH phase IN ARRAY phases LOOP
    FOR at IN 1..coalesce(array_length(tables, 1), 0) LOOP
      one := tables[at];
      SELECT p.shown INTO parent_table FROM partway._policy(one) AS p;
      BEGIN
        FOR row_of IN
          SELECT c.result, c.partition_name, NULL::bigint AS row_count, c.ok
            FROM partway._create(one, months, partway._now_on(one), dry_run) AS c WHERE phase = 'create'
          UNION ALL
          SELECT a.result, a.partition_name, NULL, a.ok FROM partway._analyze(one, false, dry_run) AS a WHERE phase = 'analyze'
          UNION ALL
          SELECT r.result, r.partition_name, r.row_count, r.ok
            FROM partway._retire(one, expired -> one::text, dry_run) AS r WHERE phase = 'drop'
        LOOP
          result := row_of.result;
          partition_name := row_of.partition_name;
          row_count := row_of.row_count;
          ok := row_of.ok;
          IF NOT ok THEN RAISE WARNING 'partway: %', result; END IF;
          RETURN NEXT;
        END LOOP;
        IF phase = 'metadata' AND NOT dry_run THEN
          -- Sizes lock every leaf and read the disk, and others wait.
          IF partway._held_ms() > ${HOLD_MS} THEN
            RAISE EXCEPTION 'the locks of this transaction have been held for a second: the next run does it' USING ERRCODE = 'lock_not_available';
          END IF;
          EXECUTE $metadata$${CARE_SQL.metadata}$metadata$ USING one;
        END IF;
      EXCEPTION WHEN lock_not_available OR deadlock_detected OR insufficient_privilege THEN
        result := format('Not done: %s of %s: %s', phase, parent_table, SQLERRM);
        partition_name := NULL;
        row_count := NULL;
        ok := false;
        RAISE WARNING 'partway: %', result;
        RETURN NEXT;
      END;
    END LOOP;
  END LOOP;
END`,
  },
  {
    name: "create_future_partitions",
    args: "months integer DEFAULT NULL::integer",
    returns: ROWS,
    volatility: "VOLATILE",
    language: "sql",
    about: "makes the leaves of all tables in care: as far ahead as their policies say, or so many months",
    body: `SELECT * FROM partway._run(NULL, '{create}', months, false)`,
  },
  {
    name: "create_future_partitions",
    args: "of_table text, months integer DEFAULT NULL::integer",
    returns: ROWS,
    volatility: "VOLATILE",
    language: "sql",
    about:
      "makes one table's leaves: as far ahead as its policy says, or so many months (leaves, where it is cut by numbers)",
    body: `SELECT * FROM partway._run(of_table, '{create}', months, false)`,
  },
  {
    name: "create_monthly_partition",
    args: "",
    returns: ROWS,
    volatility: "VOLATILE",
    language: "sql",
    about: "makes what is missing of this and the next month, for all tables in care",
    body: `SELECT * FROM partway._run(NULL, '{create}', 1, false)`,
  },
  {
    name: "create_monthly_partition",
    args: "schema_name text, table_name text, on_date date DEFAULT NULL::date",
    returns: "text",
    volatility: "VOLATILE",
    language: "plpgsql",
    about: "the emergency: makes the leaf that holds a day (today), in care or not, whatever its interval is",
    body: /*sql*/ `
#variable_conflict use_column
DECLARE
  parent oid := partway._find(format('%I.%I', schema_name, table_name));
  p record;
  at numeric;
  made text;
  why text := partway._refused(parent);
BEGIN
  SELECT * INTO p FROM partway._policy(parent);
  IF why IS NULL AND (p.kind IS DISTINCT FROM 'time' OR p.every IS NULL) THEN why := 'it is not cut by an interval of time that is known'; END IF;
  IF why IS NULL AND NOT partway._alone() THEN why := lower(${BUSY}); END IF;
  IF why IS NOT NULL THEN RETURN format('Not created for %s: %s', p.shown, why); END IF;
  at := partway._hours(coalesce(on_date::timestamp, partway._now() AT TIME ZONE 'UTC'));
  SELECT string_agg(c.result, ', ') INTO made FROM partway._create(parent, 0, floor(at), false) AS c;
  RETURN coalesce(made, (SELECT format('Partition %s already exists', l.name) FROM partway._leaves(parent) AS l
    WHERE l.has_place AND (l.from_low IS NULL OR l.from_low <= at) AND (l.to_high IS NULL OR l.to_high > at)
    ORDER BY l.at_row LIMIT 1));
END`,
  },
  {
    name: "create_events_partition",
    args: "on_date date DEFAULT NULL::date",
    returns: "text",
    volatility: "VOLATILE",
    language: "sql",
    about: "the same for the table called events, in whichever schema",
    body: `
SELECT partway.create_monthly_partition(n.nspname::text, c.relname::text, on_date)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = partway._find('events')`,
  },
  {
    name: "analyze_partitions",
    args: "of_table text DEFAULT NULL::text",
    returns: ROWS,
    volatility: "VOLATILE",
    language: "plpgsql",
    about: "analyzes all leaves of a table (any partitioned one, or all in care), then the table itself",
    body: /*sql*/ `
DECLARE
  one oid;
BEGIN
  FOR one IN SELECT c.oid FROM partway._in_care(NULL) AS c WHERE of_table IS NULL
             UNION ALL SELECT partway._find(of_table) WHERE of_table IS NOT NULL LOOP
    SELECT p.shown INTO parent_table FROM partway._policy(one) AS p;
    FOR result, partition_name, ok IN SELECT a.result, a.partition_name, a.ok FROM partway._analyze(one, true, false) AS a LOOP
      RETURN NEXT;
    END LOOP;
  END LOOP;
END`,
  },
  {
    name: "vacuum_partitions",
    args: "of_table text DEFAULT NULL::text, is_full boolean DEFAULT false",
    returns: "SETOF text",
    volatility: "VOLATILE",
    language: "plpgsql",
    about:
      "the VACUUM statements to run: no function can (VACUUM ends transactions of its own); in psql: SELECT * FROM ... \\gexec",
    body: /*sql*/ `
BEGIN
  RETURN QUERY
    SELECT format('VACUUM (%sANALYZE) %I.%I', CASE WHEN is_full THEN 'FULL, ' ELSE '' END, l.nsp, l.name)
      FROM (SELECT c.oid FROM partway._in_care(NULL) AS c WHERE of_table IS NULL
            UNION ALL SELECT partway._find(of_table) WHERE of_table IS NOT NULL) AS t(parent), partway._leaves(t.parent) AS l
     WHERE l.kind = 'table' ORDER BY t.parent, l.at_row;
END`,
  },
  {
    name: "drop_old_partitions",
    args: "of_table text, months integer DEFAULT NULL::integer, dry_run boolean DEFAULT true",
    returns: ROWS,
    volatility: "VOLATILE",
    language: "sql",
    about:
      "what of a table is expired by its policy, or older than so many months, with its rows counted; dry_run false: detaches it, and drops it where the policy says drop",
    body: `SELECT * FROM partway._run(of_table, '{drop}', months, coalesce(dry_run, true))`,
  },
  {
    name: "cleanup_old_partitions",
    args: "dry_run boolean DEFAULT true",
    returns: ROWS,
    volatility: "VOLATILE",
    language: "sql",
    about: "drop_old_partitions for all tables in care, by their policies",
    body: `SELECT * FROM partway._run(NULL, '{drop}', NULL, coalesce(dry_run, true))`,
  },
  {
    name: "maintain_partitions",
    args: "of_table text DEFAULT NULL::text",
    returns: ROWS,
    volatility: "VOLATILE",
    language: "sql",
    about: "create, analyze, metadata: everything but what takes leaves away",
    body: `SELECT * FROM partway._run(of_table, '{create,analyze,metadata}', NULL, false)`,
  },
  {
    name: "run_partition_maintenance",
    args: "of_table text DEFAULT NULL::text, dry_run boolean DEFAULT true",
    returns: ROWS,
    volatility: "VOLATILE",
    language: "sql",
    about: "create, analyze, drop, metadata: of one table or of all in care; dry_run false: really",
    body: `SELECT * FROM partway._run(of_table, '{create,analyze,drop,metadata}', NULL, coalesce(dry_run, true))`,
  },
];

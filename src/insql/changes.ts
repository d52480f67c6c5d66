/**
 * What changes something, a step at a time. A function is one transaction, so what it locks stays locked until its
 * caller commits: what nobody waits for comes first (a leaf made apart and attached: SHARE UPDATE EXCLUSIVE), strong
 * locks last, and they are held for a second at most.
 */
import type { SqlFunction } from "./function.js";

/** Longest time that the strong locks of one transaction are added to, ms; as --hold-budget of maintain. */
export const HOLD_MS = 1000;
/** Tries for a lock while none is held, as long as nobody waits behind us. */
const TRIES = 5;
/** An ATTACH reads DEFAULT under its lock, and no function can bound how long: bytes. */
const DEFAULT_BYTES = 64 * 2 ** 20;

export const CHANGES: readonly SqlFunction[] = [
  {
    name: "_alone",
    args: "",
    returns: "boolean",
    volatility: "VOLATILE",
    language: "sql",
    about:
      "takes the lock of partway maintain until the end of the transaction; false: another one is at work",
    body: `SELECT pg_try_advisory_xact_lock(hashtext('partway maintain'), 0)`,
  },
  {
    name: "_held_ms",
    args: "",
    returns: "numeric",
    volatility: "VOLATILE",
    language: "sql",
    about: "how long this transaction has held its first strong lock, ms; null: it holds none",
    body: `SELECT 1000 * extract(epoch FROM clock_timestamp() - nullif(current_setting('partway.held_since', true), '')::timestamptz)`,
  },
  {
    name: "_migration",
    args: "of_table oid",
    returns: "text",
    volatility: "VOLATILE",
    language: "plpgsql",
    about: "the migration that a table takes part in; null: none",
    body: /*sql*/ `
DECLARE
  found text;
BEGIN
  IF to_regclass('partway.migration') IS NULL THEN RETURN NULL; END IF;
  EXECUTE 'SELECT m.id FROM partway.migration m WHERE $1 IN (m.source_oid, m.shadow_oid)' INTO found USING of_table;
  RETURN found;
END`,
  },
  {
    name: "_refused",
    args: "of_table oid",
    returns: "text",
    volatility: "VOLATILE",
    language: "plpgsql",
    about: "why nothing is done for a table; null: it is done",
    body: /*sql*/ `
DECLARE
  p record;
  migration text := partway._migration(of_table);
BEGIN
  SELECT * INTO p FROM partway._policy(of_table);
  IF migration IS NOT NULL THEN
    RETURN format('it belongs to migration %s, which has not ended: partway status %s', migration, migration);
  ELSIF p.strategy IS NULL THEN RETURN 'it is not a partitioned table';
  ELSIF p.wrong IS NOT NULL THEN RETURN format('partway.partition_config: %s', p.wrong);
  END IF;
  RETURN NULL;
END`,
  },
  {
    name: "_model",
    args: "of_table oid",
    returns: "oid",
    volatility: "STABLE",
    language: "sql",
    about: "the newest leaf, which a new one is made like; the table itself while it has none",
    body: `SELECT coalesce((SELECT l.oid FROM partway._leaves(of_table) AS l
                    WHERE l.kind = 'table' AND l.is_range AND NOT l.is_pending ORDER BY l.at_row DESC LIMIT 1), of_table)`,
  },
  {
    name: "_make_leaf",
    args: "of_table oid, leaf_name text, from_text text, to_text text",
    returns: "void",
    volatility: "VOLATILE",
    language: "plpgsql",
    about: "makes a leaf apart, like the newest one, and attaches it; raises where it cannot",
    body: /*sql*/ `
DECLARE
  p record;
  m record;
  d record;
  g record;
  waits boolean;
  made text;
  parent text;
  options text;
  identity_index text;
BEGIN
  SELECT * INTO p FROM partway._policy(of_table);
  parent := p.shown;
  FOR d IN SELECT * FROM partway._leaves(of_table) AS l WHERE l.bound = 'DEFAULT' LOOP
    IF d.kind <> 'table' THEN
      RAISE EXCEPTION 'its DEFAULT leaf % is % itself: partway maintain', d.name, d.kind;
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.%I WHERE %I >= %L AND %I < %L)',
                   d.nsp, d.name, p.key_column, from_text, p.key_column, to_text) INTO waits;
    IF waits THEN
      RAISE EXCEPTION 'rows of its range wait in the DEFAULT leaf %: partway maintain moves them', d.name;
    ELSIF pg_relation_size(d.oid) > ${DEFAULT_BYTES} THEN
      RAISE EXCEPTION 'its DEFAULT leaf % is large and would be read under its lock: partway maintain bounds that', d.name;
    END IF;
  END LOOP;
  SELECT c.oid, n.nspname, pg_get_userbyid(c.relowner) AS owner, c.relowner, c.reloptions, toast.reloptions AS toast_options,
         ts.spcname, CASE WHEN c.oid <> of_table THEN am.amname END AS method, c.relpersistence, c.relreplident,
         c.relrowsecurity, c.relforcerowsecurity, c.relacl, c.relnamespace INTO m
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid
    LEFT JOIN pg_tablespace ts ON ts.oid = c.reltablespace LEFT JOIN pg_am am ON am.oid = c.relam
   WHERE c.oid = partway._model(of_table);
  made := format('%I.%I', m.nspname, leaf_name);
  SELECT string_agg(format('%s%I=%L', o.prefix, split_part(o.pair, '=', 1), substr(o.pair, strpos(o.pair, '=') + 1)), ', ' ORDER BY o.at)
    INTO options
    FROM (SELECT '' AS prefix, pair, at FROM unnest(m.reloptions) WITH ORDINALITY AS u(pair, at)
          UNION ALL SELECT '"toast".', pair, 1000 + at FROM unnest(m.toast_options) WITH ORDINALITY AS u(pair, at)) AS o;
  EXECUTE concat('CREATE ', CASE WHEN m.relpersistence = 'u' THEN 'UNLOGGED ' END, 'TABLE ', made, ' (LIKE ', parent,
    ' INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING INDEXES)',
    ' USING ' || quote_ident(m.method), ' WITH (' || options || ')', ' TABLESPACE ' || quote_ident(m.spcname));
  FOR g IN SELECT a.attname, a.attstattarget FROM pg_attribute a
            WHERE a.attrelid = m.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attstattarget >= 0 LOOP
    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', made, g.attname, g.attstattarget);
  END LOOP;
  IF m.relreplident = 'f' THEN EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', made); END IF;
  IF m.relreplident = 'n' THEN EXECUTE format('ALTER TABLE %s REPLICA IDENTITY NOTHING', made); END IF;
  IF m.relrowsecurity THEN EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', made); END IF;
  IF m.relforcerowsecurity THEN EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', made); END IF;
  IF m.owner <> current_user THEN EXECUTE format('ALTER TABLE %s OWNER TO %I', made, m.owner); END IF;
  -- What ALTER DEFAULT PRIVILEGES has given, and the model does not have.
  FOR g IN SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS who
             FROM pg_class c, aclexplode(c.relacl) AS a
            WHERE c.oid = made::regclass AND a.grantee <> m.relowner LOOP
    EXECUTE format('REVOKE ALL ON TABLE %s FROM %s', made, g.who);
  END LOOP;
  IF m.oid <> of_table THEN
    FOR g IN SELECT a.privilege_type, NULL::text AS attname, a.is_grantable, a.grantee, 0 AS attnum, a.at
               FROM aclexplode(m.relacl) WITH ORDINALITY AS a(grantor, grantee, privilege_type, is_grantable, at)
             UNION ALL
             SELECT a.privilege_type, c.attname::text, a.is_grantable, a.grantee, c.attnum, a.at
               FROM pg_attribute c, aclexplode(c.attacl) WITH ORDINALITY AS a(grantor, grantee, privilege_type, is_grantable, at)
              WHERE c.attrelid = m.oid AND c.attnum > 0 AND NOT c.attisdropped
             ORDER BY 5, 6 LOOP
      CONTINUE WHEN g.grantee = m.relowner;
      EXECUTE concat('GRANT ', g.privilege_type, ' (' || quote_ident(g.attname) || ')', ' ON TABLE ', made, ' TO ',
        CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
        CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' END);
    END LOOP;
  END IF;
  EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', parent, made, from_text, to_text);
  IF m.relreplident = 'i' AND m.oid <> of_table THEN
    SELECT c.relname INTO identity_index
      FROM pg_index old JOIN pg_inherits oi ON oi.inhrelid = old.indexrelid JOIN pg_inherits ni ON ni.inhparent = oi.inhparent
      JOIN pg_index new ON new.indexrelid = ni.inhrelid AND new.indrelid = made::regclass
      JOIN pg_class c ON c.oid = new.indexrelid
     WHERE old.indrelid = m.oid AND old.indisreplident;
    IF FOUND THEN EXECUTE format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', made, identity_index); END IF;
  END IF;
END`,
  },
  {
    name: "_try",
    args: "statements text[], is_strong boolean",
    returns: "text",
    volatility: "VOLATILE",
    language: "plpgsql",
    about: "runs statements as one step that happens whole or not at all; gives why it did not, or null",
    body: /*sql*/ `
DECLARE
  statement text;
  reason text;
BEGIN
  FOR attempt IN 1..${TRIES} LOOP
    IF is_strong AND partway._held_ms() > ${HOLD_MS} THEN
      RETURN 'the locks of this transaction have been held for a second: the next run does it';
    END IF;
    BEGIN
      FOREACH statement IN ARRAY statements LOOP EXECUTE statement; END LOOP;
      IF is_strong AND partway._held_ms() IS NULL THEN
        PERFORM set_config('partway.held_since', clock_timestamp()::text, true);
      END IF;
      RETURN NULL;
    EXCEPTION
      WHEN lock_not_available OR deadlock_detected THEN
        reason := format('the lock could not be had within %s: the next run tries again', current_setting('lock_timeout'));
      WHEN OTHERS THEN RETURN SQLERRM;
    END;
    -- Whoever holds a strong lock does not wait for others.
    EXIT WHEN partway._held_ms() IS NOT NULL;
    IF attempt < ${TRIES} THEN PERFORM pg_sleep(0.1 + random() * 0.2); END IF;
  END LOOP;
  RETURN reason;
END`,
  },
  {
    name: "_create",
    args: "of_table oid, months integer, at numeric, dry_run boolean",
    returns: "TABLE(result text, partition_name text, ok boolean)",
    volatility: "VOLATILE",
    language: "plpgsql",
    about: "makes the leaves that are missing from the interval of a position on",
    body: /*sql*/ `
DECLARE
  one record;
  why text;
  is_strong boolean;
  is_nested boolean;
BEGIN
  -- ATTACH locks DEFAULT in ACCESS EXCLUSIVE, and both ends of a foreign key against writes.
  SELECT coalesce(bool_or(l.bound = 'DEFAULT'), false)
      OR EXISTS (SELECT FROM pg_constraint k WHERE k.contype = 'f' AND of_table IN (k.conrelid, k.confrelid)),
         coalesce(bool_or(l.kind = 'partitioned'), false)
    INTO is_strong, is_nested FROM partway._leaves(of_table) AS l;
  FOR one IN SELECT * FROM partway._missing(of_table, months, at) LOOP
    partition_name := one.name;
    IF is_nested THEN
      why := 'the leaves are partitioned themselves: make it by hand, like the others';
    ELSIF dry_run THEN
      result := format('Would create partition: %s (%s to %s)', one.name, one.from_text, one.to_text);
      ok := true;
      RETURN NEXT;
      CONTINUE;
    ELSE
      why := partway._try(ARRAY[format('SELECT partway._make_leaf(%s, %L, %L, %L)', of_table, one.name, one.from_text, one.to_text)], is_strong);
    END IF;
    ok := why IS NULL;
    result := CASE WHEN ok THEN format('Created partition: %s', one.name) ELSE format('Not created: %s: %s', one.name, why) END;
    RETURN NEXT;
  END LOOP;
END`,
  },
  {
    name: "_analyze",
    args: "of_table oid, is_all boolean, dry_run boolean",
    returns: "TABLE(result text, partition_name text, ok boolean)",
    volatility: "VOLATILE",
    language: "plpgsql",
    about: "analyzes what has missing or old statistics, or everything; the table itself once a day",
    body: /*sql*/ `
DECLARE
  one record;
  p record;
  why text;
  is_any boolean := false;
BEGIN
  SELECT * INTO p FROM partway._policy(of_table);
  FOR one IN
    SELECT l.name, format('%I.%I', l.nsp, l.name) AS what, l.at_row FROM partway._leaves(of_table) AS l
     WHERE l.kind <> 'foreign' AND (is_all OR l.changed > 50 + l.row_count / 10.0 OR l.last_analyze IS NULL AND l.row_count > 0)
    UNION ALL
    SELECT p.name, CASE WHEN current_setting('server_version_num')::int >= 180000 THEN 'ONLY ' ELSE '' END || p.shown, 1e18
     WHERE is_all OR coalesce(greatest(pg_stat_get_last_analyze_time(of_table), pg_stat_get_last_autoanalyze_time(of_table))
                              < clock_timestamp() - interval '1 day', true)
    ORDER BY 3 LOOP
    -- Statistics of the table itself follow those of its leaves.
    CONTINUE WHEN one.at_row = 1e18 AND NOT is_any;
    is_any := true;
    partition_name := one.name;
    IF dry_run THEN why := NULL;
    ELSIF partway._held_ms() IS NOT NULL THEN why := 'this transaction holds locks that others wait for: the next run does it';
    ELSE why := partway._try(ARRAY['ANALYZE (SKIP_LOCKED) ' || one.what], false);
    END IF;
    ok := why IS NULL;
    result := CASE WHEN dry_run THEN format('Would analyze partition: %s', one.name)
                   WHEN ok THEN format('Analyzed partition: %s', one.name)
                   ELSE format('Not analyzed: %s: %s', one.name, why) END;
    RETURN NEXT;
  END LOOP;
END`,
  },
  {
    name: "_still",
    args: "of_table oid, of_leaf oid, nsp text, leaf_name text",
    returns: "void",
    volatility: "VOLATILE",
    language: "plpgsql",
    about: "raises where a leaf is not what it was when it was listed: a name may be another one's by now",
    body: /*sql*/ `
BEGIN
  IF NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE i.inhrelid = of_leaf AND i.inhparent = of_table AND n.nspname = nsp AND c.relname = leaf_name) THEN
    RAISE EXCEPTION 'it was renamed, detached or dropped meanwhile: the next run looks again';
  END IF;
END`,
  },
  {
    name: "_to_retire",
    args: "of_table oid, months integer, is_beyond boolean",
    returns: "jsonb",
    volatility: "VOLATILE",
    language: "plpgsql",
    about: "what is expired, oldest first, and why it stays: asked before the first strong lock is held",
    body: /*sql*/ `
DECLARE
  p record;
  one record;
  why text;
  listed jsonb := '[]';
BEGIN
  SELECT * INTO p FROM partway._policy(of_table);
  FOR one IN SELECT * FROM partway._expired(of_table, months) LOOP
    IF is_beyond THEN
      why := 'now lies far beyond the last leaf: either the table was not maintained for long, or the clock is wrong (SELECT now()); if it is right, the next run does it';
    ELSIF EXISTS (SELECT FROM partway._leaves(of_table) AS l WHERE l.is_pending)
       OR EXISTS (SELECT FROM partway.partition_leaving v WHERE v.table_name::oid = of_table) THEN
      why := 'a partway maintain was interrupted here: partway maintain --apply finishes it first';
    ELSIF one.oid IN (SELECT o FROM partway._archived(of_table, 'open') AS o) THEN
      why := 'its archive is under way: partway maintain --apply finishes it first';
    ELSIF p.expired = 'archive' THEN why := 'it is to be archived: partway maintain --apply does it';
    ELSE why := NULL;
    END IF;
    listed := listed || jsonb_build_object('parent', p.shown, 'doing', p.expired, 'oid', one.oid, 'nsp', one.nsp,
                                           'name', one.name, 'bound', one.bound, 'why', why);
  END LOOP;
  RETURN listed;
END`,
  },
  {
    name: "_retire",
    args: "of_table oid, listed jsonb, dry_run boolean",
    returns: "TABLE(result text, partition_name text, row_count bigint, ok boolean)",
    volatility: "VOLATILE",
    language: "plpgsql",
    about:
      "detaches what is expired, and drops it where the policy says so, but leaves what is to be archived; a dry run counts the rows instead",
    body: /*sql*/ `
DECLARE
  one record;
  why text;
  steps text[];
BEGIN
  FOR one IN SELECT e.item ->> 'parent' AS parent, e.item ->> 'doing' AS doing, (e.item ->> 'oid')::oid AS oid,
                    e.item ->> 'nsp' AS nsp, e.item ->> 'name' AS name, e.item ->> 'bound' AS bound, e.item ->> 'why' AS why
               FROM jsonb_array_elements(listed) WITH ORDINALITY AS e(item, at) ORDER BY e.at LOOP
    partition_name := one.name;
    row_count := NULL;
    IF dry_run THEN
      BEGIN
        EXECUTE format('SELECT count(*) FROM %I.%I', one.nsp, one.name) INTO row_count;
      EXCEPTION WHEN lock_not_available OR insufficient_privilege THEN row_count := NULL;
      END;
      ok := true;
      result := format('Would %s partition: %s (%s rows, %s)%s', one.doing, one.name, coalesce(row_count::text, 'uncounted'), one.bound,
                       CASE one.doing WHEN 'archive' THEN ': partway maintain --apply does it' END);
      RETURN NEXT;
      CONTINUE;
    END IF;
    why := one.why;
    IF why IS NULL THEN
      steps := ARRAY[
        format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', one.parent),
        format('LOCK TABLE ONLY %I.%I IN SHARE UPDATE EXCLUSIVE MODE', one.nsp, one.name),
        format('SELECT partway._still(%s, %s, %L, %L)', of_table, one.oid, one.nsp, one.name),
        format('ALTER TABLE %s DETACH PARTITION %I.%I', one.parent, one.nsp, one.name)];
      IF one.doing = 'drop' THEN steps := steps || format('DROP TABLE %I.%I', one.nsp, one.name); END IF;
      why := partway._try(steps, true);
    END IF;
    ok := why IS NULL;
    result := CASE WHEN NOT ok THEN format('Left partition: %s: %s', one.name, why)
                   WHEN one.doing = 'drop' THEN format('Dropped partition: %s', one.name)
                   ELSE format('Detached partition: %s', one.name) END;
    RETURN NEXT;
  END LOOP;
END`,
  },
];

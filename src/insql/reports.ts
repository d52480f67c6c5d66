/** What only looks: lists and health, judged as src/care/health.ts does. */
import { FACTS_SQL } from "../care/facts.js";
import { NOTICE } from "../care/health.js";
import { caseOf, type SqlFunction } from "./function.js";

const notice = (level: "warning" | "critical") =>
  caseOf(
    "coalesce(p.every, 'day')",
    Object.fromEntries(Object.entries(NOTICE).map(([every, hours]) => [every, hours[level]])),
  );

const SHORT = (names: string) =>
  `(array_to_string((array_agg(${names}))[1:5], ', ') || CASE WHEN count(*) > 5 THEN ' and ' || count(*) - 5 || ' more' ELSE '' END)`;

export const REPORTS: readonly SqlFunction[] = [
  {
    name: "_bytes",
    args: "of_leaf oid",
    returns: "bigint",
    volatility: "VOLATILE",
    language: "sql",
    about: "what a leaf takes, with all below it, indexes and TOAST",
    body: `SELECT coalesce(sum(pg_total_relation_size(t.relid)), 0)::bigint FROM pg_partition_tree(of_leaf) AS t`,
  },
  {
    name: "_until",
    args: "of_table oid, at numeric",
    returns: "numeric",
    volatility: "VOLATILE",
    language: "sql",
    about:
      "where the leaves that follow a position without a gap end: itself where there is none, null where they never end",
    body: /*sql*/ `
  SELECT lower(m) FROM (
    SELECT unnest(nummultirange(numrange(at, at + 1e15)) - coalesce(range_agg(numrange(l.from_low, l.to_high)), nummultirange())) AS m
      FROM partway._leaves(of_table) AS l WHERE l.has_place AND NOT l.is_pending) AS u ORDER BY 1 LIMIT 1`,
  },
  {
    name: "_findings",
    args: "of_table oid",
    returns: "TABLE(level text, code text, what text)",
    volatility: "VOLATILE",
    language: "plpgsql",
    about: "what partway health would find, in its order",
    body: /*sql*/ `
DECLARE
  p record;
  l record;
  at numeric := partway._now_on(of_table);
  until numeric;
  leaves int;
  is_found boolean;
BEGIN
  SELECT * INTO p FROM partway._policy(of_table);
  SELECT count(*) INTO leaves FROM partway._leaves(of_table);
  IF p.kind IS NOT NULL AND at IS NOT NULL AND leaves > 0 THEN
    until := partway._until(of_table, at);
    level := NULL;
    IF until = at THEN
      level := 'CRITICAL'; code := 'current-leaf-missing';
      what := format('there is no leaf for now (%s)', partway._text(p.key_type, at));
    ELSIF until IS NOT NULL THEN
      code := 'next-leaf-missing';
      what := format('the leaves end at %s', partway._text(p.key_type, until));
      IF p.kind = 'time' THEN
        level := CASE WHEN until - at <= ${notice("critical")} THEN 'CRITICAL'
                      WHEN until - at <= ${notice("warning")} THEN 'WARNING' END;
      ELSIF p.step IS NOT NULL AND until <= partway._begin(NULL, p.step, at) + p.step THEN
        level := CASE WHEN until - at <= floor(p.step / 10) THEN 'CRITICAL' ELSE 'WARNING' END;
      END IF;
    END IF;
    IF level IS NOT NULL THEN RETURN NEXT; END IF;
    FOR l IN SELECT lower(m) AS a, upper(m) AS z FROM (
               SELECT unnest(nummultirange(numrange(least(min(v.from_low), min(v.to_low)), greatest(max(v.to_high), max(v.from_high))))
                        - range_agg(numrange(v.from_low, v.to_high))
                        - coalesce((SELECT range_agg(numrange(CASE WHEN k.ends[1] <> 'MINVALUE' THEN partway._position(p.kind, k.ends[1], false) END,
                                                              CASE WHEN k.ends[2] <> 'MAXVALUE' THEN partway._position(p.kind, k.ends[2], true) END))
                                      FROM (SELECT regexp_match(c.bound, '^FOR VALUES FROM \\(''?([^'')]*)''?\\) TO \\(''?([^'')]*)''?\\)$') AS ends
                                              FROM partway._cold(of_table) AS c WHERE c.is_cold) AS k WHERE k.ends IS NOT NULL),
                                   nummultirange())) AS m
                 FROM partway._leaves(of_table) AS v WHERE v.has_place AND NOT v.is_pending) AS u ORDER BY 1 LOOP
      level := 'WARNING'; code := 'gap';
      what := format('no leaf from %s to %s', partway._text(p.key_type, l.a), partway._text(p.key_type, l.z));
      RETURN NEXT;
    END LOOP;
  END IF;
  level := 'WARNING';
  IF leaves > 0 AND leaves < p.min_leaves THEN
    code := 'too-few-leaves'; what := format('%s leaves, fewer than %s', leaves, p.min_leaves); RETURN NEXT;
  END IF;
  IF leaves > p.max_leaves THEN
    code := 'too-many-leaves'; what := format('%s leaves, more than %s', leaves, p.max_leaves); RETURN NEXT;
  END IF;
  FOR l IN SELECT v.name, partway._bytes(v.oid) AS bytes FROM partway._leaves(of_table) AS v ORDER BY v.at_row LOOP
    IF l.bytes > p.leaf_bytes THEN
      code := 'leaf-too-large'; what := format('%s has %s', l.name, pg_size_pretty(l.bytes)); RETURN NEXT;
    END IF;
  END LOOP;
  IF p.strategy = 'range' AND (p.kind IS NULL OR p.every IS NULL AND p.step IS NULL AND leaves > 0) THEN
    code := 'interval-unknown'; what := 'no leaf can be made ahead, and none expires'; RETURN NEXT;
  END IF;
  IF p.strategy = 'range' AND EXISTS (SELECT FROM partway._leaves(of_table) AS v WHERE v.kind = 'partitioned') THEN
    code := 'leaves-partitioned'; what := 'leaves are partitioned themselves: new ones have to be made by hand'; RETURN NEXT;
  END IF;
  FOR l IN SELECT v.nsp, v.name FROM partway._leaves(of_table) AS v WHERE v.bound = 'DEFAULT' LOOP
    BEGIN
      EXECUTE format('SELECT EXISTS (SELECT FROM %I.%I)', l.nsp, l.name) INTO is_found;
    EXCEPTION WHEN lock_not_available THEN is_found := false;
    END;
    IF is_found THEN
      code := 'default-not-empty'; what := 'the DEFAULT leaf holds rows: they delay every new leaf'; RETURN NEXT;
    END IF;
  END LOOP;
  EXECUTE $found$SELECT ${SHORT("x.name")} FROM (${FACTS_SQL.indexes}) AS x HAVING count(*) > 0$found$ INTO what USING of_table;
  IF what IS NOT NULL THEN
    code := 'index-missing'; what := 'indexes missing or invalid: ' || what; RETURN NEXT;
  END IF;
  SELECT ${SHORT("v.name")} INTO what FROM (SELECT * FROM partway._leaves(of_table) ORDER BY at_row) AS v
   WHERE v.kind <> 'foreign' AND (v.changed > 50 + v.row_count / 10.0 OR v.last_analyze IS NULL AND v.row_count > 0)
  HAVING count(*) > 0;
  IF what IS NOT NULL THEN
    code := 'statistics-stale'; what := 'statistics missing or old: ' || what; RETURN NEXT;
  END IF;
  level := 'CLEANUP_NEEDED';
  SELECT ${SHORT("e.name")} INTO what FROM partway._expired(of_table, NULL) AS e HAVING count(*) > 0;
  IF what IS NOT NULL THEN code := 'expired'; what := 'expired: ' || what; RETURN NEXT; END IF;
  SELECT ${SHORT("v.name")} INTO what FROM partway._leaves(of_table) AS v WHERE v.is_pending HAVING count(*) > 0;
  IF what IS NOT NULL THEN code := 'detach-pending'; what := 'a detach is not finished: ' || what; RETURN NEXT; END IF;
  SELECT ${SHORT("v.leaf_name")} INTO what
    FROM partway.partition_leaving v JOIN pg_class c ON c.oid = v.leaf AND c.relname = v.leaf_name
   WHERE v.table_name::oid = of_table AND NOT c.relispartition HAVING count(*) > 0;
  IF what IS NOT NULL THEN code := 'drop-pending'; what := 'detached and not dropped: ' || what; RETURN NEXT; END IF;
  IF p.wrong IS NOT NULL THEN level := 'WARNING'; code := 'policy-unreadable'; what := p.wrong; RETURN NEXT; END IF;
END`,
  },
  {
    name: "list_partitions",
    args: "of_table text DEFAULT NULL::text",
    returns:
      "TABLE(parent_table text, partition_name text, bound text, row_count bigint, total_bytes bigint, total_size text, last_analyze timestamp with time zone, last_vacuum timestamp with time zone, detach_pending boolean)",
    volatility: "VOLATILE",
    language: "plpgsql",
    about: "the leaves of a partitioned table, or of all in care, by the catalog; rows are estimates",
    body: /*sql*/ `
BEGIN
  RETURN QUERY
    SELECT p.shown, l.name, l.bound, l.row_count, b.bytes, pg_size_pretty(b.bytes), l.last_analyze, l.last_vacuum, l.is_pending
      FROM (SELECT c.oid FROM partway._in_care(NULL) AS c WHERE of_table IS NULL
            UNION ALL SELECT partway._find(of_table) WHERE of_table IS NOT NULL) AS t(parent),
           partway._policy(t.parent) AS p, partway._leaves(t.parent) AS l, partway._bytes(l.oid) AS b(bytes)
     ORDER BY p.shown COLLATE "C", l.at_row;
END`,
  },
  {
    name: "partition_health_summary",
    args: "",
    returns:
      "TABLE(parent_table text, partitions integer, row_count bigint, total_bytes bigint, total_size text, oldest text, newest text, covered_until text, pending_cleanup integer, last_maintenance timestamp with time zone, status text, findings text[])",
    volatility: "VOLATILE",
    language: "plpgsql",
    about: "how the tables in care are: HEALTHY, CLEANUP_NEEDED, NO_PARTITIONS, WARNING or CRITICAL, and why",
    body: /*sql*/ `
DECLARE
  one oid;
  p record;
  at numeric;
BEGIN
  FOR one IN SELECT c.oid FROM partway._in_care(NULL) AS c LOOP
    SELECT * INTO p FROM partway._policy(one);
    parent_table := p.shown;
    last_maintenance := p.last_maintenance;
    SELECT count(*), coalesce(sum(l.row_count), 0), coalesce(sum(partway._bytes(l.oid)), 0),
           (array_agg(l.name ORDER BY l.at_row) FILTER (WHERE l.bound <> 'DEFAULT'))[1],
           (array_agg(l.name ORDER BY l.at_row DESC) FILTER (WHERE l.bound <> 'DEFAULT'))[1]
      INTO partitions, row_count, total_bytes, oldest, newest FROM partway._leaves(one) AS l;
    total_size := pg_size_pretty(total_bytes);
    at := partway._now_on(one);
    covered_until := CASE WHEN at IS NULL OR partway._until(one, at) IS NULL THEN 'for ever'
                          WHEN partway._until(one, at) > at THEN partway._text(p.key_type, partway._until(one, at)) END;
    SELECT count(*) INTO pending_cleanup FROM partway._expired(one, NULL);
    SELECT coalesce(array_agg(f.level || ' ' || f.code || ': ' || f.what), '{}'),
           CASE WHEN partitions = 0 THEN 'NO_PARTITIONS'
                WHEN bool_or(f.level = 'CRITICAL') THEN 'CRITICAL' WHEN bool_or(f.level = 'WARNING') THEN 'WARNING'
                WHEN bool_or(f.level = 'CLEANUP_NEEDED') THEN 'CLEANUP_NEEDED' ELSE 'HEALTHY' END
      INTO findings, status FROM partway._findings(one) AS f;
    RETURN NEXT;
  END LOOP;
END`,
  },
  {
    name: "check_partition_health",
    args: "",
    returns:
      "TABLE(schema_name text, table_name text, partition_count integer, total_size text, largest_partition text, largest_size text, status text)",
    volatility: "VOLATILE",
    language: "plpgsql",
    about: "one line a table in care: OK, or the worst that was found",
    body: /*sql*/ `
DECLARE
  one oid;
BEGIN
  FOR one IN SELECT c.oid FROM partway._in_care(NULL) AS c LOOP
    SELECT p.nsp, p.name INTO schema_name, table_name FROM partway._policy(one) AS p;
    SELECT count(*), pg_size_pretty(coalesce(sum(b.bytes), 0)), (array_agg(l.name ORDER BY b.bytes DESC, l.at_row))[1],
           pg_size_pretty(coalesce(max(b.bytes), 0))
      INTO partition_count, total_size, largest_partition, largest_size
      FROM partway._leaves(one) AS l, partway._bytes(l.oid) AS b(bytes);
    status := coalesce(
      (SELECT CASE f.code WHEN 'too-few-leaves' THEN 'WARNING: Too few partitions'
                          WHEN 'too-many-leaves' THEN 'WARNING: Too many partitions' ELSE f.level || ': ' || f.what END
         FROM partway._findings(one) WITH ORDINALITY AS f(level, code, what, at)
        ORDER BY array_position('{CRITICAL,WARNING,CLEANUP_NEEDED}', f.level), f.code NOT LIKE 'too-%', f.at LIMIT 1),
      CASE WHEN partition_count = 0 THEN 'WARNING: Too few partitions' ELSE 'OK' END);
    RETURN NEXT;
  END LOOP;
END`,
  },
  {
    name: "assert_partition_health",
    args: "",
    returns: "text",
    volatility: "VOLATILE",
    language: "plpgsql",
    about:
      "raises an error that names every table in care that is not OK, so that a job that runs it fails and is seen",
    body: /*sql*/ `
DECLARE
  bad text;
  tables int;
BEGIN
  SELECT count(*), string_agg(format('%I.%I: %s', h.schema_name, h.table_name, h.status), '; ') FILTER (WHERE h.status <> 'OK')
    INTO tables, bad FROM partway.check_partition_health() AS h;
  IF bad IS NOT NULL THEN
    RAISE EXCEPTION 'partway: %', bad USING HINT = 'SELECT * FROM partway.partition_health_summary()';
  ELSIF tables = 0 THEN
    RAISE EXCEPTION 'partway: no table is in care' USING HINT = 'Take one over first: partway adopt <table>';
  END IF;
  RETURN format('OK: %s', tables);
END`,
  },
];

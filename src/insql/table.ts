/** A table in care and its policy, as src/care/{table,policy,decide,clock}.ts read them. */
import { AHEAD, MAX_LEAVES, UNITS } from "../care/policy.js";
import { defaultTemplate } from "../config/template.js";
import type { Interval } from "../plan/types.js";
import { caseOf, type SqlFunction } from "./function.js";

const INTERVALS: readonly Interval[] = ["hour", "day", "week", "month", "quarter", "year"];
const TEMPLATES = Object.fromEntries(
  INTERVALS.map((every) => [every, defaultTemplate({ kind: "range-time", column: "", every })]),
);
const NUMBERED = defaultTemplate({ kind: "range-int", column: "", step: "1" });
const UNIT_ROWS = Object.entries(UNITS)
  .map(([word, { unit, each }]) => `('${word}', '${unit}', ${each})`)
  .join(", ");

const LEAF_COLUMNS =
  "oid oid, nsp text, name text, kind text, bound text, is_pending boolean, is_range boolean, has_place boolean, " +
  "from_low numeric, from_high numeric, to_low numeric, to_high numeric, row_count bigint, changed bigint, " +
  "last_analyze timestamp with time zone, last_vacuum timestamp with time zone, at_row bigint";

const POLICY_COLUMNS =
  "oid oid, nsp text, name text, shown text, in_care boolean, is_enabled boolean, strategy text, key_column text, " +
  "key_type text, kind text, largest numeric, every text, step numeric, leaf text, ahead integer, retention text, " +
  "retention_unit text, retention_amount numeric, expired text, min_leaves integer, max_leaves integer, " +
  "leaf_bytes numeric, last_maintenance timestamp with time zone, wrong text";

export const TABLES: readonly SqlFunction[] = [
  {
    name: "_find",
    args: "of_table text",
    returns: "oid",
    volatility: "STABLE",
    language: "plpgsql",
    about: "the partitioned table of that name; without a schema the one in care, else the only one",
    body: /*sql*/ `
DECLARE
  parts text[] := parse_ident(of_table);
  found oid[];
BEGIN
  IF array_length(parts, 1) > 2 THEN
    RAISE EXCEPTION '"%" is not a table''s name', of_table USING ERRCODE = 'invalid_name', HINT = 'Write schema.table.';
  END IF;
  SELECT array_agg(c.oid) INTO found
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind = 'p' AND c.relname = parts[array_length(parts, 1)]
     AND (array_length(parts, 1) = 1 OR n.nspname = parts[1]);
  IF array_length(found, 1) > 1 THEN
    SELECT array_agg(c.table_name::oid) INTO found FROM partway.partition_config c WHERE c.table_name::oid = ANY (found);
  END IF;
  IF coalesce(array_length(found, 1), 0) = 0 THEN
    RAISE EXCEPTION 'there is no partitioned table called %', of_table USING ERRCODE = 'undefined_table',
      HINT = 'Tables in care: SELECT table_name FROM partway.partition_config';
  ELSIF array_length(found, 1) > 1 THEN
    RAISE EXCEPTION 'there are several tables called %', of_table USING ERRCODE = 'ambiguous_parameter',
      HINT = 'Write schema.table.';
  END IF;
  RETURN found[1];
END`,
  },
  {
    name: "_key",
    args: "of_table oid",
    returns: "TABLE(strategy text, key_column text, key_type text, kind text, largest numeric)",
    volatility: "STABLE",
    language: "sql",
    about: "what a table is cut by; kind is null where no leaf can be made for it",
    body: /*sql*/ `
  SELECT s.strategy, s.key_column, s.key_type,
         CASE WHEN s.strategy <> 'range' OR s.key_column IS NULL THEN NULL
              WHEN s.key_type IN ('date', 'timestamp without time zone', 'timestamp with time zone') THEN 'time'
              WHEN s.key_type IN ('smallint', 'integer', 'bigint') THEN 'number' END,
         CASE s.key_type WHEN 'smallint' THEN 32767 WHEN 'integer' THEN 2147483647 WHEN 'bigint' THEN 9223372036854775807 END::numeric
    FROM (SELECT CASE p.partstrat WHEN 'r' THEN 'range' WHEN 'l' THEN 'list' ELSE 'hash' END AS strategy,
                 a.attname::text AS key_column,
                 format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL) AS key_type
            FROM pg_partitioned_table p
            LEFT JOIN pg_attribute a ON p.partnatts = 1 AND a.attrelid = p.partrelid AND a.attnum = p.partattrs[0] AND a.attnum > 0
            LEFT JOIN pg_type t ON t.oid = a.atttypid
           WHERE p.partrelid = of_table) AS s`,
  },
  {
    name: "_leaves",
    args: "of_table oid",
    returns: `TABLE(${LEAF_COLUMNS})`,
    volatility: "STABLE",
    language: "sql",
    about: "the leaves by the catalog, in the order of their lower bounds; a null end of a range is open",
    body: String.raw`
  -- MATERIALIZED: pulled up, each bound would be printed and read some forty times (4 ms a leaf).
  WITH k AS MATERIALIZED (SELECT * FROM partway._key(of_table)),
  leaf AS MATERIALIZED (
    SELECT c.oid, n.nspname::text AS nsp, c.relname::text AS name,
           CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned' ELSE 'foreign' END AS kind,
           pg_get_expr(c.relpartbound, c.oid) AS bound, i.inhdetachpending AS is_pending,
           coalesce(nullif(pg_stat_get_live_tuples(c.oid), 0), greatest(c.reltuples, 0)::bigint) AS row_count,
           pg_stat_get_mod_since_analyze(c.oid) AS changed,
           greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) AS last_analyze,
           greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) AS last_vacuum
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE i.inhparent = of_table),
  ended AS MATERIALIZED (
    SELECT leaf.*, k.kind AS axis, leaf.bound LIKE 'FOR VALUES FROM (%' AS is_range,
           regexp_match(leaf.bound, '^FOR VALUES FROM \(''?([^'')]*)''?\) TO \(''?([^'')]*)''?\)$') AS ends
      FROM leaf, k),
  placed AS MATERIALIZED (
    SELECT ended.*, coalesce(axis IS NOT NULL AND is_range AND ends IS NOT NULL
                             AND ends[1] <> 'infinity' AND ends[2] <> '-infinity', false) AS has_place
      FROM ended),
  measured AS MATERIALIZED (
    SELECT placed.*, CASE WHEN has_place AND ends[1] <> 'MINVALUE' THEN partway._position(axis, ends[1], false) END AS from_low,
           CASE WHEN has_place AND ends[1] <> 'MINVALUE' THEN partway._position(axis, ends[1], true) END AS from_high,
           CASE WHEN has_place AND ends[2] <> 'MAXVALUE' THEN partway._position(axis, ends[2], false) END AS to_low,
           CASE WHEN has_place AND ends[2] <> 'MAXVALUE' THEN partway._position(axis, ends[2], true) END AS to_high
      FROM placed)
  SELECT oid, nsp, name, kind, bound, is_pending, is_range, has_place, from_low, from_high, to_low, to_high,
         row_count, changed, last_analyze, last_vacuum,
         row_number() OVER (ORDER BY NOT has_place, from_low NULLS FIRST, name COLLATE "C")
    FROM measured ORDER BY 17`,
  },
  {
    name: "_recognise",
    args: "of_table oid",
    returns: "TABLE(every text, step numeric)",
    volatility: "STABLE",
    language: "sql",
    about: "the interval that most of the leaves stand on; no row where none does",
    body: /*sql*/ `
  WITH axis AS (SELECT kind FROM partway._key(of_table)),
  leaf AS MATERIALIZED (SELECT * FROM partway._leaves(of_table) WHERE has_place),
  grid AS (
    SELECT g.every, NULL::numeric AS step, g.at
      FROM axis, unnest('{${INTERVALS.join(",")}}'::text[]) WITH ORDINALITY AS g(every, at) WHERE axis.kind = 'time'
    UNION ALL
    SELECT NULL, leaf.to_low - leaf.from_low, min(leaf.at_row)
      FROM axis, leaf WHERE axis.kind = 'number' AND leaf.to_low > leaf.from_low GROUP BY 2)
  SELECT grid.every, grid.step FROM grid, leaf
   WHERE partway._stands_on(grid.every, grid.step, leaf.from_low, leaf.from_high, leaf.to_low, leaf.to_high)
   GROUP BY grid.every, grid.step, grid.at ORDER BY count(*) DESC, grid.at LIMIT 1`,
  },
  {
    name: "_policy",
    args: "of_table oid",
    returns: `TABLE(${POLICY_COLUMNS})`,
    volatility: "STABLE",
    language: "plpgsql",
    about: "a table's policy read whole, defaults included; wrong: why the row cannot be honoured here",
    body: String.raw`
#variable_conflict use_variable
DECLARE
  c partway.partition_config;
  words text[];
  amount numeric;
  problem text;
BEGIN
  SELECT n.nspname, r.relname INTO nsp, name
    FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace WHERE r.oid = of_table;
  oid := of_table;
  shown := format('%I.%I', nsp, name);
  SELECT k.strategy, k.key_column, k.key_type, k.kind, k.largest INTO strategy, key_column, key_type, kind, largest
    FROM partway._key(of_table) AS k;
  SELECT p.* INTO c FROM partway.partition_config AS p WHERE p.table_name::oid = of_table;
  in_care := FOUND;
  is_enabled := coalesce(c.enabled, true);
  last_maintenance := c.last_maintenance;
  LOOP
    problem := NULL;
    retention_unit := NULL;
    retention_amount := NULL;
    expired := coalesce(c.expired, 'detach');
    retention := c.retention;
    every := c.every;
    step := c.step;
    IF every IS NOT NULL AND step IS NOT NULL THEN problem := 'every and step exclude each other';
    ELSIF every IS NULL AND step IS NULL THEN
      SELECT g.every, g.step INTO every, step FROM partway._recognise(of_table) AS g;
    ELSIF kind IS NULL THEN problem := 'it is not cut by a range of one time or whole-number column: it has no interval';
    ELSIF (kind = 'time') <> (every IS NOT NULL) THEN problem := format('it is cut by %s, not by %s', kind, coalesce(every, 'step ' || step));
    ELSIF every = 'hour' AND key_type = 'date' THEN problem := 'it is cut by a date, which has no hours';
    ELSIF every IS NOT NULL AND every NOT IN (${INTERVALS.map((one) => `'${one}'`).join(", ")}) THEN problem := format('every: %s is no interval', every);
    ELSIF step <= 0 OR step >= 1e18 THEN problem := 'step is not a whole number above zero';
    END IF;
    leaf := coalesce(c.leaf, ${caseOf("every", TEMPLATES)}, '${NUMBERED}');
    IF problem IS NULL AND (every IS NOT NULL OR step IS NOT NULL) THEN problem := partway._template_wrong(leaf, every); END IF;
    ahead := coalesce(c.ahead, ${caseOf("coalesce(every, CASE WHEN step IS NOT NULL THEN 'step' END)", AHEAD)}, 0);
    IF problem IS NULL AND ahead NOT BETWEEN 0 AND 1000 THEN problem := 'ahead is not between 0 and 1000'; END IF;
    IF retention IS NOT NULL THEN
      words := regexp_match(lower(btrim(retention, E' \t\n\r')), '^(\d{1,18})\s*([a-z]*)$');
      amount := words[1]::numeric;
      IF words[2] = '' THEN retention_unit := 'values';
      ELSE
        SELECT u.unit, amount * u.each INTO retention_unit, amount
          FROM (VALUES ${UNIT_ROWS}) AS u(word, unit, each)
         WHERE u.word IN (words[2], regexp_replace(words[2], 's$', '')) ORDER BY u.word = words[2] DESC LIMIT 1;
      END IF;
      retention_amount := amount;
      IF retention_unit IS NULL OR amount IS NULL OR amount <= 0 OR retention_unit = 'hours' AND amount > 8766000
         OR retention_unit = 'months' AND amount > 12000 THEN
        problem := coalesce(problem, format('retention "%s" is not a length of time', retention));
        retention_unit := NULL;
      ELSIF kind IS NOT NULL AND (retention_unit = 'values') <> (kind = 'number') THEN
        problem := coalesce(problem, format('retention "%s" does not suit a table cut by %s', retention, kind));
        retention_unit := NULL;
      END IF;
    END IF;
    IF expired NOT IN ('detach', 'drop', 'archive') THEN
      problem := coalesce(problem, format('expired: %s is nothing that is done', expired));
    -- The column is not there where the table is of before there were archives.
    ELSIF expired = 'archive' AND coalesce(to_jsonb(c) #>> '{archive,to}', '') = '' THEN
      problem := coalesce(problem, 'expired leaves are to be archived, and it is not said where to');
    END IF;
    IF jsonb_typeof(coalesce(c.thresholds, '{}')) <> 'object' OR EXISTS (
         SELECT FROM jsonb_each(CASE jsonb_typeof(c.thresholds) WHEN 'object' THEN c.thresholds ELSE '{}' END) AS t
          WHERE t.key NOT IN ('minLeaves', 'maxLeaves', 'leafGb') OR jsonb_typeof(t.value) <> 'number'
             OR (CASE jsonb_typeof(t.value) WHEN 'number' THEN (t.value #>> '{}')::numeric < 0 END)) THEN
      problem := coalesce(problem, 'thresholds: only minLeaves, maxLeaves and leafGb are known, all numbers');
    END IF;
    IF problem IS NOT NULL THEN
      -- Judged by the defaults, and left alone.
      wrong := problem;
      SELECT * INTO c FROM partway.partition_config AS p WHERE false;
      CONTINUE;
    END IF;
    min_leaves := coalesce((c.thresholds ->> 'minLeaves')::int, 2);
    max_leaves := coalesce((c.thresholds ->> 'maxLeaves')::int,
      ${caseOf("coalesce(every, CASE WHEN step IS NOT NULL THEN 'step' ELSE 'none' END)", MAX_LEAVES)});
    leaf_bytes := coalesce((c.thresholds ->> 'leafGb')::numeric, 10) * 1e9;
    EXIT;
  END LOOP;
  RETURN NEXT;
END`,
  },
  {
    name: "_now_on",
    args: "of_table oid",
    returns: "numeric",
    volatility: "VOLATILE",
    language: "plpgsql",
    about: "where now is on a table's axis: the clock, or the largest value in a leaf of its interval",
    body: /*sql*/ `
DECLARE
  p record;
  g record;
  l record;
  most numeric;
BEGIN
  SELECT * INTO p FROM partway._policy(of_table);
  IF p.kind IS NULL THEN RETURN NULL; END IF;
  IF p.kind = 'time' THEN RETURN floor(partway._hours(partway._now() AT TIME ZONE 'UTC')); END IF;
  SELECT * INTO g FROM partway._recognise(of_table);
  FOR l IN SELECT * FROM partway._leaves(of_table) AS one
            WHERE one.has_place AND NOT one.is_pending
              AND (p.step IS NOT NULL AND partway._stands_on(NULL, p.step, one.from_low, one.from_high, one.to_low, one.to_high)
                OR g.step IS NOT NULL AND partway._stands_on(NULL, g.step, one.from_low, one.from_high, one.to_low, one.to_high))
            ORDER BY one.at_row DESC LOOP
    EXECUTE format('SELECT max(%1$I) FROM %2$s WHERE %1$I >= %3$s AND %1$I < %4$s', p.key_column, p.shown, l.from_low, l.to_high) INTO most;
    IF most IS NOT NULL THEN RETURN most; END IF;
  END LOOP;
  RETURN coalesce(
    (SELECT one.from_low FROM partway._leaves(of_table) AS one
      WHERE one.has_place AND NOT one.is_pending
        AND (p.step IS NOT NULL AND partway._stands_on(NULL, p.step, one.from_low, one.from_high, one.to_low, one.to_high)
          OR g.step IS NOT NULL AND partway._stands_on(NULL, g.step, one.from_low, one.from_high, one.to_low, one.to_high))
      ORDER BY one.at_row LIMIT 1),
    (SELECT one.from_low FROM partway._leaves(of_table) AS one WHERE one.from_low IS NOT NULL ORDER BY one.at_row LIMIT 1), 0);
END`,
  },
  {
    name: "_archived",
    args: "of_table oid, of_what text",
    returns: "SETOF oid",
    volatility: "VOLATILE",
    language: "plpgsql",
    about:
      "restored: the leaves that were brought back from an archive, which stay; open: those whose archive is under way",
    body: /*sql*/ `
BEGIN
  IF to_regclass('partway.partition_archive') IS NULL THEN RETURN; END IF;
  -- By where it hangs, not by names: the leaf may be called otherwise by now, the table be another one of that name.
  RETURN QUERY EXECUTE CASE of_what
    WHEN 'restored' THEN 'SELECT a.restored_as FROM partway.partition_archive a JOIN pg_inherits i ON i.inhrelid = a.restored_as AND i.inhparent = $1'
    ELSE 'SELECT a.leaf FROM partway.partition_archive a JOIN pg_class c ON c.oid = a.leaf WHERE a.table_name::oid = $1 AND a.dropped_at IS NULL'
  END USING of_table;
END`,
  },
  {
    name: "_cold",
    args: "of_table oid",
    returns: "TABLE(leaf oid, warmed_as oid, is_cold boolean, bound text)",
    volatility: "VOLATILE",
    language: "plpgsql",
    about: "what partway cool has begun, moved to another server, or partway warm has brought back",
    body: /*sql*/ `
BEGIN
  IF to_regclass('partway.partition_cold') IS NULL THEN RETURN; END IF;
  RETURN QUERY EXECUTE
    'SELECT k.leaf, k.warmed_as, k.cooled_at IS NOT NULL AND k.warmed_at IS NULL, k.bound
       FROM partway.partition_cold k WHERE k.table_name::oid = $1 OR k.warmed_as IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = $1)'
    USING of_table;
END`,
  },
  {
    name: "_expired",
    args: "of_table oid, months integer",
    returns: "TABLE(oid oid, nsp text, name text, bound text)",
    volatility: "VOLATILE",
    language: "plpgsql",
    about:
      "the leaves whose upper bound is not above now minus the retention, oldest first; not those brought back from an archive or the cold, or on their way into it",
    body: /*sql*/ `
DECLARE
  p record;
  at numeric;
  cutoff numeric;
BEGIN
  SELECT * INTO p FROM partway._policy(of_table);
  at := partway._now_on(of_table);
  IF at IS NULL OR p.every IS NULL AND p.step IS NULL THEN RETURN; END IF;
  IF months IS NOT NULL THEN
    IF p.kind <> 'time' THEN
      RAISE EXCEPTION '% is cut by numbers: months mean nothing', p.shown USING ERRCODE = 'invalid_parameter_value',
        HINT = 'Leave the months out: the policy''s retention counts values.';
    END IF;
    IF months <= 0 THEN
      RAISE EXCEPTION 'months must be above zero' USING ERRCODE = 'invalid_parameter_value', HINT = 'For example 12.';
    END IF;
    cutoff := partway._hours(partway._at(at) - make_interval(months => months));
  ELSIF p.retention_unit = 'months' THEN cutoff := partway._hours(partway._at(at) - make_interval(months => p.retention_amount::int));
  ELSE cutoff := at - p.retention_amount;
  END IF;
  IF months IS NULL AND p.retention_unit IS NULL THEN RETURN; END IF;
  RETURN QUERY SELECT l.oid, l.nsp, l.name, l.bound FROM partway._leaves(of_table) AS l
    WHERE l.kind <> 'foreign' AND NOT l.is_pending AND l.has_place AND l.to_high <= cutoff
      AND l.oid NOT IN (SELECT r FROM partway._archived(of_table, 'restored') AS r)
      -- Brought back from the cold, or on its way into it.
      AND NOT EXISTS (SELECT FROM partway._cold(of_table) AS k WHERE l.oid = k.warmed_as OR l.oid = k.leaf AND NOT k.is_cold)
    ORDER BY l.at_row;
END`,
  },
  {
    name: "_missing",
    args: "of_table oid, months integer, at numeric",
    returns: "TABLE(name text, from_text text, to_text text)",
    volatility: "VOLATILE",
    language: "plpgsql",
    about:
      "the leaves that are not there from the interval of a position on; months: so far instead of the policy's ahead",
    body: /*sql*/ `
DECLARE
  p record;
  begins numeric;
  ends numeric;
  last_begin numeric;
  piece numrange;
  covered nummultirange;
  names text[] := '{}';
  home oid;
BEGIN
  SELECT * INTO p FROM partway._policy(of_table);
  IF at IS NULL OR p.every IS NULL AND p.step IS NULL THEN RETURN; END IF;
  SELECT range_agg(numrange(l.from_low, l.to_high)) INTO covered FROM partway._leaves(of_table) AS l WHERE l.has_place;
  SELECT c.relnamespace INTO home FROM pg_class c WHERE c.oid = partway._model(of_table);
  begins := partway._begin(p.every, p.step, at);
  IF months IS NULL OR p.kind = 'number' THEN
    last_begin := partway._following(p.every, p.step, begins, coalesce(months, p.ahead));
  ELSE
    last_begin := partway._begin(p.every, p.step, floor(partway._hours(partway._at(at) + make_interval(months => months))));
  END IF;
  WHILE begins <= last_begin LOOP
    ends := partway._following(p.every, p.step, begins, 1);
    EXIT WHEN p.kind = 'number' AND ends > p.largest;
    FOR piece IN SELECT unnest(nummultirange(numrange(begins, ends)) - coalesce(covered, nummultirange())) LOOP
      name := partway._free_name(partway._leaf_name(p.leaf, p.name, p.every, p.step, lower(piece)), home, names);
      names := names || name;
      from_text := partway._text(p.key_type, lower(piece));
      to_text := partway._text(p.key_type, upper(piece));
      RETURN NEXT;
    END LOOP;
    begins := ends;
  END LOOP;
END`,
  },
  {
    name: "_beyond",
    args: "of_table oid",
    returns: "boolean",
    volatility: "VOLATILE",
    language: "plpgsql",
    about:
      "whether now lies further beyond the last leaf than leaves are made ahead: with a wrong clock all looks expired",
    body: /*sql*/ `
DECLARE
  p record;
  at numeric;
  reach numeric;
BEGIN
  SELECT * INTO p FROM partway._policy(of_table);
  IF p.kind IS DISTINCT FROM 'time' OR p.every IS NULL THEN RETURN false; END IF;
  IF EXISTS (SELECT FROM partway._leaves(of_table) AS l WHERE l.has_place AND NOT l.is_pending AND l.to_high IS NULL) THEN
    RETURN false;
  END IF;
  at := partway._now_on(of_table);
  SELECT max(l.to_high) INTO reach FROM partway._leaves(of_table) AS l WHERE l.has_place AND NOT l.is_pending;
  IF reach IS NULL OR at < reach THEN RETURN false; END IF;
  RETURN partway._begin(p.every, NULL, at)
       > partway._following(p.every, NULL, partway._begin(p.every, NULL, reach), p.ahead);
END`,
  },
];

/**
 * Positions, intervals and names, as src/care/grid.ts and src/config/template.ts have them: whole hours since 1970 in
 * UTC, or the numbers themselves. Everything is numeric, so that nothing overflows at the end of bigint.
 */
import { ENOUGH } from "../config/template.js";
import { NAME_BYTES } from "../plan/names.js";
import type { SqlFunction } from "./function.js";

const TOKENS = "IYYY|YYYY|MM|DD|HH|IW|WW|Q";

/** `every` to the sets of placeholders of which one must be whole. */
const SETS = Object.entries(ENOUGH)
  .flatMap(([every, sets]) => sets.map((set) => `('${every}', '{${set.join(",")}}'::text[])`))
  .join(", ");

export const ARITHMETIC: readonly SqlFunction[] = [
  {
    name: "_now",
    args: "",
    returns: "timestamp with time zone",
    volatility: "VOLATILE",
    language: "sql",
    about: "the clock that everything goes by",
    body: `SELECT clock_timestamp()`,
  },
  {
    name: "_hours",
    args: "at timestamp without time zone",
    returns: "numeric",
    volatility: "IMMUTABLE",
    language: "sql",
    about: "hours since 1970-01-01 00:00, not rounded",
    body: `SELECT extract(epoch FROM at) / 3600`,
  },
  {
    name: "_at",
    args: "hours numeric",
    returns: "timestamp without time zone",
    volatility: "IMMUTABLE",
    language: "sql",
    about: "the time of a whole number of hours since 1970",
    body: `SELECT timestamp 'epoch' + make_interval(days => floor(hours / 24)::int, hours => (hours - 24 * floor(hours / 24))::int)`,
  },
  {
    name: "_position",
    args: "kind text, value text, up boolean",
    returns: "numeric",
    volatility: "STABLE",
    language: "sql",
    about: "where a value stands on the axis, rounded down or up to a whole hour; null for infinity",
    body: `SELECT CASE WHEN kind = 'number' THEN value::numeric
            WHEN NOT isfinite(value::timestamptz) THEN NULL
            WHEN up THEN ceil(partway._hours(value::timestamptz AT TIME ZONE 'UTC'))
            ELSE floor(partway._hours(value::timestamptz AT TIME ZONE 'UTC')) END`,
  },
  {
    name: "_text",
    args: "type text, place numeric",
    returns: "text",
    volatility: "STABLE",
    language: "sql",
    about: "a position as the text of a bound, in UTC",
    body: `SELECT CASE type WHEN 'date' THEN partway._at(place)::date::text
                 WHEN 'timestamp without time zone' THEN partway._at(place)::text
                 WHEN 'timestamp with time zone' THEN (partway._at(place) AT TIME ZONE 'UTC')::text
                 ELSE trunc(place)::text END`,
  },
  {
    name: "_begin",
    args: "every text, step numeric, place numeric",
    returns: "numeric",
    volatility: "IMMUTABLE",
    language: "sql",
    about: "where the interval begins that holds a position",
    body: `SELECT CASE WHEN every IS NULL THEN floor(place / step) * step
                 ELSE partway._hours(date_trunc(every, partway._at(place)))::bigint END`,
  },
  {
    name: "_following",
    args: "every text, step numeric, begins numeric, times integer",
    returns: "numeric",
    volatility: "IMMUTABLE",
    language: "sql",
    about: "where the interval begins that comes so many later",
    body: `SELECT CASE every WHEN 'hour' THEN begins + times WHEN 'day' THEN begins + 24 * times
                  WHEN 'week' THEN begins + 168 * times
                  WHEN 'month' THEN partway._hours(partway._at(begins) + make_interval(months => times))::bigint
                  WHEN 'quarter' THEN partway._hours(partway._at(begins) + make_interval(months => 3 * times))::bigint
                  WHEN 'year' THEN partway._hours(partway._at(begins) + make_interval(years => times))::bigint
                  ELSE begins + step * times END`,
  },
  {
    name: "_stands_on",
    args: "every text, step numeric, from_low numeric, from_high numeric, to_low numeric, to_high numeric",
    returns: "boolean",
    volatility: "IMMUTABLE",
    language: "sql",
    about: "whether a range is exactly one interval",
    body: `SELECT from_low IS NOT NULL AND to_low IS NOT NULL AND from_low = from_high AND to_low = to_high
          AND partway._begin(every, step, from_low) = from_low
          AND partway._following(every, step, from_low, 1) = to_low`,
  },
  {
    name: "_shorten",
    args: "name text, bytes integer",
    returns: "text",
    volatility: "IMMUTABLE",
    language: "plpgsql",
    about: "a name cut to so many bytes, told apart from its neighbours by a hash of the whole",
    body: /*sql*/ `
DECLARE
  hash text := left(encode(sha256(convert_to(name, 'UTF8')), 'hex'), 8);
  kept text := name;
BEGIN
  IF octet_length(convert_to(name, 'UTF8')) <= bytes THEN RETURN name; END IF;
  WHILE octet_length(convert_to(kept, 'UTF8')) > bytes - 9 LOOP kept := left(kept, length(kept) - 1); END LOOP;
  RETURN kept || '_' || hash;
END`,
  },
  {
    name: "_free_name",
    args: "name text, in_schema oid, taken text[]",
    returns: "text",
    volatility: "STABLE",
    language: "plpgsql",
    about: "the name, shortened, and with _2, _3, ... where it is taken by a table or a type",
    body: /*sql*/ `
DECLARE
  candidate text := partway._shorten(name, ${NAME_BYTES});
  generation int := 1;
BEGIN
  WHILE candidate = ANY (taken)
     OR EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = in_schema AND c.relname = candidate)
     OR EXISTS (SELECT FROM pg_type t WHERE t.typnamespace = in_schema AND t.typname = candidate) LOOP
    generation := generation + 1;
    candidate := partway._shorten(name, ${NAME_BYTES} - length('_' || generation)) || '_' || generation;
  END LOOP;
  RETURN candidate;
END`,
  },
  {
    name: "_leaf_name",
    args: "template text, table_name text, every text, step numeric, place numeric",
    returns: "text",
    volatility: "IMMUTABLE",
    language: "plpgsql",
    about: "the name of the leaf that begins at a position, not yet shortened",
    body: String.raw`
DECLARE
  made text := '';
  part text;
  inner_name text;
  token text;
  at timestamp;
  letters text[];
  is_week boolean;
  signed text;
BEGIN
  SELECT coalesce(array_agg(t[1]), '{}') INTO letters
    FROM regexp_matches(template, '\{((?:${TOKENS})+)\}', 'g') AS p, regexp_matches(p[1], '${TOKENS}', 'g') AS t;
  is_week := letters && '{IW,WW}' AND NOT letters && '{MM,DD}';
  IF every IS NOT NULL THEN at := partway._at(place); END IF;
  FOR part IN SELECT m[1] FROM regexp_matches(template, '(\{[^{}]*\}|[^{}]+)', 'g') AS m LOOP
    inner_name := substring(part FROM '^\{(.*)\}$');
    IF inner_name IS NULL THEN made := made || part;
    ELSIF inner_name IN ('table', 't') THEN made := made || table_name;
    ELSIF every IS NULL THEN
      signed := trunc(CASE inner_name WHEN 'n' THEN floor(place / step) ELSE place END)::text;
      made := made || replace(signed, '-', 'm');
    ELSE
      FOR token IN SELECT m[1] FROM regexp_matches(inner_name, '(${TOKENS})', 'g') AS m LOOP
        made := made || CASE token
          WHEN 'YYYY' THEN to_char(CASE WHEN is_week THEN extract(isoyear FROM at) ELSE extract(year FROM at) END, 'FM9999990000')
          WHEN 'IYYY' THEN to_char(extract(isoyear FROM at), 'FM9999990000')
          WHEN 'MM' THEN to_char(at, 'MM') WHEN 'DD' THEN to_char(at, 'DD') WHEN 'HH' THEN to_char(at, 'HH24')
          WHEN 'Q' THEN to_char(at, 'Q') ELSE to_char(at, 'IW') END;
      END LOOP;
    END IF;
  END LOOP;
  RETURN made;
END`,
  },
  {
    name: "_template_wrong",
    args: "template text, every text",
    returns: "text",
    volatility: "IMMUTABLE",
    language: "plpgsql",
    about: "why a template of names cannot tell the leaves of an interval apart; null: it can",
    body: String.raw`
DECLARE
  part text;
  letters text[] := '{}';
BEGIN
  IF regexp_replace(template, '\{[^{}]*\}', '', 'g') ~ '[{}]' THEN
    RETURN format('leaf: a brace stands alone in "%s"', template);
  END IF;
  FOR part IN SELECT m[1] FROM regexp_matches(template, '\{([^{}]*)\}', 'g') AS m LOOP
    IF part IN ('table', 't') THEN CONTINUE; END IF;
    IF every IS NULL AND part IN ('from', 'n') THEN letters := letters || part;
    ELSIF every IS NOT NULL AND part ~ '^(?:${TOKENS})+$' THEN
      letters := letters || ARRAY(SELECT m[1] FROM regexp_matches(part, '(${TOKENS})', 'g') AS m);
    ELSE RETURN format('leaf: {%s} means nothing in "%s"', part, template);
    END IF;
  END LOOP;
  IF every IS NULL AND letters = '{}'
     OR every IS NOT NULL AND NOT EXISTS (
          SELECT FROM (VALUES ${SETS}) AS enough(of_every, whole) WHERE of_every = every AND whole <@ letters)
  THEN RETURN format('leaf: "%s" gives two leaves the same name', template);
  END IF;
  RETURN NULL;
END`,
  },
];

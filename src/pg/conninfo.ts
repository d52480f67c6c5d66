/**
 * The two grammars libpq reads a connection from: a postgres:// URI and a key=value string. Each behaviour here was
 * tried against psql 15. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
 * A malformed string may hold a password anywhere, so no error below repeats any part of it.
 */
import { badInput, type PartwayError } from "../errors.js";

/** libpq option name -> value. An empty value is kept: it stops the environment from filling the option, as in libpq. */
export type Settings = Map<string, string>;

const REMEDY =
  "Write it as postgres://user@host:5432/database, or leave it out and set PGHOST, PGDATABASE, PGUSER.";

/**
 * Reads a connection string. `from` names where it came from (`--url`, `DATABASE_URL`) and `known` says which option
 * names exist. Errors: bad-input that repeats nothing of the string.
 */
export function parseConninfo(text: string, from: string, known: (name: string) => boolean): Settings {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1];
  if (scheme === "postgres" || scheme === "postgresql") {
    return parseUri(text.slice(scheme.length + 3), from, known);
  }
  if (scheme !== undefined) {
    throw badInput(`${from} begins with ${scheme}://, which is not PostgreSQL`, REMEDY);
  }
  if (text.includes("=")) return parseKeyValues(text, from, known);
  throw badInput(`${from} is neither a postgres:// URL nor a key=value connection string`, REMEDY);
}

function parseUri(rest: string, from: string, known: (name: string) => boolean): Settings {
  const malformed = (why: string, next = REMEDY): PartwayError =>
    badInput(`${from} is malformed: ${why}`, next);
  const encode = "Percent-encode it: @ is %40, / is %2F, : is %3A, % is %25.";
  const decode = (token: string): string => decodeToken(token, malformed);
  const settings: Settings = new Map();

  // libpq looks for the first @ before the first /: what comes before it is user[:password].
  const credentials = /^([^@/]*)@/.exec(rest);
  const afterUser = credentials === null ? rest : rest.slice(credentials[0].length);
  const [, authority = "", path, query] = /^([^/?]*)(?:\/([^?]*))?(?:\?([\s\S]*))?$/.exec(afterUser) ?? [];
  // An @ further on is nearly always the end of a password that was not encoded: going on would print pieces of it.
  if (authority.includes("@") || (path ?? "").includes("@")) {
    throw malformed(
      "an @ stands where none may, so the user or password has a character that must be encoded",
      encode,
    );
  }
  if (credentials !== null) {
    const [user = "", ...password] = (credentials[1] ?? "").split(":");
    if (user !== "") settings.set("user", decode(user));
    if (password.join(":") !== "") settings.set("password", decode(password.join(":")));
  }

  const place = /^(\[[^\]]*\]|[^:,[\]]*)(?::([^:,]*))?$/.exec(authority);
  if (authority.includes(","))
    throw malformed("it names several hosts", "Name the one primary server to migrate.");
  if (place === null) throw malformed("its host and port cannot be read", `${REMEDY} ${encode}`);
  const host = (place[1] ?? "").replace(/^\[(.*)\]$/, "$1");
  if (host !== "") settings.set("host", decode(host));
  if (place[2] !== undefined && place[2] !== "") settings.set("port", decode(place[2]));
  if (path !== undefined && path !== "") settings.set("dbname", decode(path));

  for (const pair of query === undefined || query === "" ? [] : query.split("&")) {
    const parts = pair.split("=");
    if (parts.length !== 2) throw malformed("a parameter after ? is not of the form name=value", encode);
    const name = decode(parts[0] ?? "");
    const value = decode(parts[1] ?? "");
    if (name === "ssl" && value === "true") {
      settings.set("sslmode", "require"); // libpq takes JDBC's ssl=true so
    } else if (known(name)) {
      settings.set(name, value);
    } else {
      const shown = /^[a-z_]{1,40}$/i.test(name) && !afterUser.includes("@") ? `"${name}"` : "after ?";
      throw malformed(`libpq has no parameter ${shown}`, "Remove it: psql would refuse it too.");
    }
  }
  return settings;
}

/** %XX decoding as libpq does it: + is no space, %00 and broken sequences are errors. */
function decodeToken(token: string, malformed: (why: string) => PartwayError): string {
  if (/%(?![0-9a-f]{2})/i.test(token) || /%00/.test(token))
    throw malformed("a % is not followed by two hex digits");
  try {
    return decodeURIComponent(token);
  } catch {
    // The URIError's message is of no use, and the token may be the password.
    throw malformed("a percent-encoded character is not UTF-8");
  }
}

function parseKeyValues(text: string, from: string, known: (name: string) => boolean): Settings {
  const malformed = (why: string): PartwayError =>
    badInput(
      `${from} is malformed: ${why}`,
      "Quote values that hold spaces: host=db dbname='my data' user=me.",
    );
  const settings: Settings = new Map();
  // name = 'quoted \' value' | bare\ value; spaces around = are allowed, and an empty bare value ends the string.
  const pair = /\s*([^\s=]+)\s*(=?)\s*(?:'((?:[^'\\]|\\[\s\S])*)(')|((?:[^\s\\]|\\[\s\S])*))/y;
  const end = text.trimEnd().length;
  while (pair.lastIndex < end) {
    const match = pair.exec(text);
    if (match === null) throw malformed("an option has no name");
    const [, name = "", equals, quoted, , bare = ""] = match;
    if (equals === "") throw malformed("an option is not of the form name=value");
    if (quoted === undefined && bare.startsWith("'")) throw malformed("a quoted value has no closing quote");
    if (!known(name)) throw malformed("it has an option that libpq does not know");
    settings.set(name, (quoted ?? bare).replace(/\\([\s\S])/g, "$1"));
  }
  return settings;
}

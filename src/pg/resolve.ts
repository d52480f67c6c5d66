/**
 * Where to connect, found as psql finds it: the connection string, then PG* for what it leaves out, then libpq's
 * defaults, then the password file. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
 */
import { existsSync } from "node:fs";
import { isIP } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { badInput, messageOf, type PartwayError } from "../errors.js";
import { registerSecret } from "../log.js";
import { parseConninfo, type Settings } from "./conninfo.js";
import { passwordFromFile } from "./pgpass.js";
import { Secret, type SslMode, type Target } from "./target.js";

/** libpq waits for ever by default; an operator at a terminal gets an answer. PGCONNECT_TIMEOUT=0 waits for ever. */
const DEFAULT_CONNECT_TIMEOUT_S = 10;

/** Where servers keep their unix socket: Debian and Red Hat packages, then PostgreSQL's own default. */
const SOCKET_DIRECTORIES = ["/var/run/postgresql", "/tmp"] as const;

const SSL_MODES: readonly SslMode[] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

interface Option {
  env?: string;
  /**
   * `used` here; `ignored` because it changes nothing for Partway; or the only values that mean what Partway does.
   * Any other value asks for something Partway cannot promise, so it is refused rather than dropped in silence.
   */
  as: "used" | "ignored" | readonly string[];
}

/** Every libpq option up to PostgreSQL 18. */
const OPTIONS: Readonly<Record<string, Option>> = {
  host: { env: "PGHOST", as: "used" },
  hostaddr: { env: "PGHOSTADDR", as: "used" },
  port: { env: "PGPORT", as: "used" },
  dbname: { env: "PGDATABASE", as: "used" },
  user: { env: "PGUSER", as: "used" },
  password: { env: "PGPASSWORD", as: "used" },
  passfile: { env: "PGPASSFILE", as: "used" },
  connect_timeout: { env: "PGCONNECT_TIMEOUT", as: "used" },
  options: { env: "PGOPTIONS", as: "used" },
  sslmode: { env: "PGSSLMODE", as: "used" },
  sslrootcert: { env: "PGSSLROOTCERT", as: "used" },
  sslcert: { env: "PGSSLCERT", as: "used" },
  sslkey: { env: "PGSSLKEY", as: "used" },
  application_name: { env: "PGAPPNAME", as: "ignored" },
  fallback_application_name: { as: "ignored" },
  client_encoding: { env: "PGCLIENTENCODING", as: "ignored" },
  keepalives: { as: "ignored" },
  keepalives_idle: { as: "ignored" },
  keepalives_interval: { as: "ignored" },
  keepalives_count: { as: "ignored" },
  tcp_user_timeout: { as: "ignored" },
  krbsrvname: { env: "PGKRBSRVNAME", as: "ignored" },
  gsslib: { env: "PGGSSLIB", as: "ignored" },
  gssdelegation: { env: "PGGSSDELEGATION", as: "ignored" },
  sslcompression: { env: "PGSSLCOMPRESSION", as: "ignored" },
  sslsni: { env: "PGSSLSNI", as: "ignored" },
  load_balance_hosts: { env: "PGLOADBALANCEHOSTS", as: "ignored" },
  max_protocol_version: { env: "PGMAXPROTOCOLVERSION", as: "ignored" },
  gssencmode: { env: "PGGSSENCMODE", as: ["disable", "prefer"] },
  channel_binding: { env: "PGCHANNELBINDING", as: ["disable", "prefer"] },
  target_session_attrs: { env: "PGTARGETSESSIONATTRS", as: ["any", "read-write", "primary"] },
  sslnegotiation: { env: "PGSSLNEGOTIATION", as: ["postgres"] },
  sslcertmode: { env: "PGSSLCERTMODE", as: ["allow"] },
  ssl_min_protocol_version: { env: "PGSSLMINPROTOCOLVERSION", as: ["TLSv1", "TLSv1.1", "TLSv1.2"] },
  ssl_max_protocol_version: { env: "PGSSLMAXPROTOCOLVERSION", as: ["TLSv1.3"] },
  min_protocol_version: { env: "PGMINPROTOCOLVERSION", as: ["3.0"] },
  replication: { as: ["false", "off", "no", "0"] },
  service: { env: "PGSERVICE", as: [] },
  sslcrl: { env: "PGSSLCRL", as: [] },
  sslcrldir: { env: "PGSSLCRLDIR", as: [] },
  sslpassword: { as: [] },
  sslkeylogfile: { as: [] },
  requirepeer: { env: "PGREQUIREPEER", as: [] },
  require_auth: { env: "PGREQUIREAUTH", as: [] },
  scram_client_key: { as: [] },
  scram_server_key: { as: [] },
  oauth_issuer: { as: [] },
  oauth_client_id: { as: [] },
  oauth_client_secret: { as: [] },
  oauth_scope: { as: [] },
};

/**
 * The target of `--url` (input.url), else of DATABASE_URL, else of the PG* variables of `env`. The variables and the
 * password file also fill what a connection string leaves out. The password is registered with the log's redaction.
 * Errors: bad-input, exit 2; no message repeats a password or any other piece of a connection string that might be one.
 */
export async function resolveTarget(input: { url?: string }, env: NodeJS.ProcessEnv): Promise<Target> {
  if (input.url === "") {
    throw badInput(
      "--url is empty",
      "Give a URL, or leave --url out to use DATABASE_URL or the PG* variables.",
    );
  }
  const databaseUrl = env["DATABASE_URL"] === "" ? undefined : env["DATABASE_URL"];
  const from = input.url === undefined ? "DATABASE_URL" : "--url";
  const text = input.url ?? databaseUrl;
  const given: Settings =
    text === undefined ? new Map() : parseConninfo(text, from, (name) => Object.hasOwn(OPTIONS, name));
  const origin = (name: string): string =>
    given.has(name) ? `${name} in ${from}` : (OPTIONS[name]?.env ?? name);

  const settings = withEnvironment(given, env);
  const value = (name: string): string | null => settings.get(name) || null;
  const password = value("password");
  if (password !== null) registerSecret(password);
  /**
   * A value for an error message: an ordinary word, never the password, and nothing a mistyped URL may have cut out of
   * it (postgres://me:hunter2/db has the port hunter2).
   */
  const shown = (name: string): string => {
    const text = settings.get(name) ?? "";
    const plain = /^[a-z0-9._-]{0,24}$/i.test(text) && (password === null || !text.includes(password));
    if (given.has(name) && name !== "sslmode") return "the value given";
    return plain ? `"${text}"` : "the value given";
  };
  const wrong = (name: string, why: string, next: string): PartwayError =>
    badInput(`${origin(name)}: ${shown(name)} ${why}`, next);

  for (const [name, option] of Object.entries(OPTIONS)) {
    const set = value(name);
    if (set === null || !Array.isArray(option.as) || option.as.includes(set)) continue;
    const next =
      name === "service"
        ? "Put the service's host, port, dbname and user into --url or the PG* variables, and unset PGSERVICE."
        : `Leave ${origin(name)} out${option.as.length === 0 ? "" : ` or set it to ${option.as.join(" or ")}`}.`;
    throw badInput(`${origin(name)} asks for something that Partway cannot do`, next);
  }

  const port = portOf(settings.get("port") ?? "");
  if (port === null) throw wrong("port", "is not a port number", "Give a number from 1 to 65535.");
  const host = value("host");
  const hostAddress = value("hostaddr");
  if (host !== null && /[,@\s]/.test(host)) {
    throw badInput(`${origin("host")} is not one host name`, "Name the one primary server to migrate.");
  }
  if (hostAddress !== null && isIP(hostAddress) === 0) {
    throw wrong("hostaddr", "is not an IP address", "Give an address, or use host for a name.");
  }
  const user = value("user") ?? osUser();
  const database = value("dbname") ?? user;
  const reached = host ?? hostAddress ?? socketDirectory(port) ?? "localhost";

  const home = env["HOME"] || homeDirectory();
  const sslRootCert = value("sslrootcert") ?? standardFile(home, "root.crt");
  const sslMode = sslModeOf(settings.get("sslmode"), env, sslRootCert);
  if (sslMode === null) throw wrong("sslmode", "is not an sslmode", `Give one of ${SSL_MODES.join(", ")}.`);
  if (sslRootCert === "system" && sslMode !== "verify-full") {
    throw wrong("sslmode", "is too weak for sslrootcert=system", "Use sslmode=verify-full.");
  }

  const seconds = settings.get("connect_timeout")?.trim() || String(DEFAULT_CONNECT_TIMEOUT_S);
  if (!/^[+-]?\d{1,9}$/.test(seconds)) {
    throw wrong("connect_timeout", "is not a number of seconds", "Give whole seconds; 0 waits for ever.");
  }

  const secret =
    password ??
    passwordFromFile(value("passfile") ?? join(home, ".pgpass"), {
      hosts: passfileHosts(host, hostAddress, reached),
      port: String(port),
      database,
      user,
    });
  if (secret !== null) registerSecret(secret);
  return {
    host: reached,
    hostAddress: host === null ? null : hostAddress,
    port,
    database,
    user,
    password: secret === null ? null : new Secret(secret),
    sslMode,
    sslRootCert,
    sslCert: value("sslcert") ?? standardFile(home, "postgresql.crt"),
    sslKey: value("sslkey") ?? standardFile(home, "postgresql.key"),
    connectTimeoutMs: Math.max(0, Number(seconds)) * 1000,
    options: value("options"),
  };
}

/** libpq fills from a variable that is set, even to nothing, every option that the connection string does not name. */
function withEnvironment(given: Settings, env: NodeJS.ProcessEnv): Settings {
  const settings: Settings = new Map(given);
  for (const [name, option] of Object.entries(OPTIONS)) {
    const set = option.env === undefined ? undefined : env[option.env];
    if (set !== undefined && !settings.has(name)) settings.set(name, set);
  }
  return settings;
}

/** 1 to 65535; 5432 for nothing; null for anything else. */
function portOf(text: string): number | null {
  if (text === "") return 5432;
  const port = /^\s*\+?\d{1,9}\s*$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65535 ? port : null;
}

function sslModeOf(
  text: string | undefined,
  env: NodeJS.ProcessEnv,
  sslRootCert: string | null,
): SslMode | null {
  if (text !== undefined) return SSL_MODES.find((mode) => mode === text) ?? null;
  if (env["PGREQUIRESSL"]?.startsWith("1") === true) return "require";
  return sslRootCert === "system" ? "verify-full" : "prefer";
}

/** The directory that holds a server's socket for this port, so that a machine without one falls to TCP. */
function socketDirectory(port: number): string | null {
  return SOCKET_DIRECTORIES.find((directory) => existsSync(`${directory}/.s.PGSQL.${port}`)) ?? null;
}

/** psql 15 looks under localhost for its default socket directory and where only an address was given. */
function passfileHosts(host: string | null, address: string | null, reached: string): string[] {
  const isDefault =
    SOCKET_DIRECTORIES.some((directory) => directory === reached) || (host === null && address !== null);
  return isDefault ? [reached, "localhost"] : [reached];
}

/** A file of ~/.postgresql that libpq uses unasked where it exists. */
function standardFile(home: string, name: string): string | null {
  const file = join(home, ".postgresql", name);
  return existsSync(file) ? file : null; // like libpq: what cannot be looked at is not there
}

function osUser(): string {
  try {
    return userInfo().username;
  } catch (error) {
    // A container may run under a uid that has no name.
    throw badInput(
      `the user to connect as is not known: ${messageOf(error)}`,
      "Set PGUSER, or name the user in --url.",
    );
  }
}

/** Without a home directory no file is looked for there: nothing exists below the name given instead. */
function homeDirectory(): string {
  try {
    return userInfo().homedir;
  } catch (error) {
    process.emitWarning(
      `no home directory, so ~/.pgpass and ~/.postgresql are not read: ${messageOf(error)}`,
    );
    return "/nonexistent";
  }
}

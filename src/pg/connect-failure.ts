/** Why a connection could not be made, and what the operator can do about it. */
import { messageOf, PartwayError } from "../errors.js";
import { redact } from "../log.js";
import { SQLSTATE, sqlState } from "./sqlstate.js";
import { describeTarget, type Target } from "./target.js";

/** One way that was tried: with TLS or without. */
export interface FailedAttempt {
  tls: boolean;
  error: unknown;
}

/** The server asked for a password and none was given. */
export class NoPassword extends Error {
  constructor() {
    super("the server asks for a password and none was given");
    this.name = "NoPassword";
  }
}

/** No connection: bad input at the start of a command, one more lost connection in the middle of a run. */
export class CannotConnect extends PartwayError {
  /** A server that restarts, fails over or is full may let us in later; one that refuses the password will not. */
  readonly passes: boolean;

  constructor(what: string, next: string, passes: boolean, cause: Error) {
    super("bad-input", { what, state: "Nothing was touched.", next }, { cause });
    this.passes = passes;
  }
}

/** What node-postgres says when the server answers N to an SSLRequest. */
const NO_TLS = /does not support SSL/;

/**
 * The lease's holder, its helper, an observer, the throttle's monitor, and a phase's own two beside its workers (the
 * cutover's, which work on one); measured in test/faults.
 */
export const BESIDE_WORKERS = 6;

const AGAIN = "then run the same command again";

/**
 * Whether the other kind of connection (plain after TLS, or the reverse) may still succeed: libpq tries it when TLS
 * could not be set up and when the server refused the login, not when the server was not reached at all.
 */
export function worthAnotherWay(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== null) return state.startsWith("28");
  return !(error instanceof NoPassword) && networkProblem(error) === null && !isTimeout(error);
}

/** The failure as an error of kind bad-input; nothing in it, its stack or its cause is a secret. */
export function connectFailure(target: Target, attempts: readonly FailedAttempt[]): CannotConnect {
  const told = mostTelling(attempts);
  const others = attempts
    .filter((attempt) => attempt !== told && !saysNothing(attempt.error, told?.error))
    .map((attempt) => `; ${attempt.tls ? "with" : "without"} TLS: ${textOf(attempt.error)}`);
  const { what, next } = explain(target, told?.error);
  // A plain copy: the driver's own error objects carry certificates and sockets.
  const cause = new Error(textOf(told?.error));
  return new CannotConnect(`${what}${others.join("")}`, next, !isDefinite(told?.error), cause);
}

/** The server was there and said no, or is not the one it should be. */
function isDefinite(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== null)
    return (
      state.startsWith("28") || state === SQLSTATE.unknownDatabase || state === SQLSTATE.insufficientPrivilege
    );
  return (
    error instanceof NoPassword ||
    NO_TLS.test(textOf(error)) ||
    /CERT|SIGNATURE|ISSUER|^ERR_TLS/.test(codeOf(error) ?? "")
  );
}

/** That `prefer` found no TLS is no news when the plain attempt failed, and the same words twice are not either. */
function saysNothing(other: unknown, told: unknown): boolean {
  return NO_TLS.test(textOf(other)) || textOf(other) === textOf(told);
}

/** A wrong password says more than "no pg_hba.conf entry ... no encryption", and the server more than a lack of TLS. */
function mostTelling(attempts: readonly FailedAttempt[]): FailedAttempt | undefined {
  const rank = ({ error }: FailedAttempt): number => {
    const state = sqlState(error);
    if (state === SQLSTATE.invalidAuthorization) return 1;
    return state === null && !(error instanceof NoPassword) ? 0 : 2;
  };
  return attempts.reduce<FailedAttempt | undefined>(
    (best, attempt) => (best === undefined || rank(attempt) > rank(best) ? attempt : best),
    undefined,
  );
}

function explain(target: Target, error: unknown): { what: string; next: string } {
  const where = describeTarget(target);
  const server = `${target.host}:${target.port}`;
  const text = textOf(error);
  if (error instanceof NoPassword) {
    return {
      what: `the server asks for a password for ${where} and none was given`,
      next: `Set PGPASSWORD, or add a line to ~/.pgpass (it is read only with mode 0600), ${AGAIN}.`,
    };
  }
  switch (sqlState(error)) {
    case null:
      break;
    case SQLSTATE.invalidPassword:
      return {
        what: `the server refused the user or password of ${where}: ${text}`,
        next: `Check the role's name and PGPASSWORD, ~/.pgpass or the URL, ${AGAIN}.`,
      };
    case SQLSTATE.invalidAuthorization:
      return explainRefusal(target, text);
    case SQLSTATE.unknownDatabase:
      return {
        what: `there is no database "${target.database}" on ${server}`,
        next: `Check the database in --url or PGDATABASE (psql -l lists them), ${AGAIN}.`,
      };
    case SQLSTATE.tooManyConnections:
      return {
        what: `the server has no connection left for ${where}: ${text}`,
        next: `Free a connection, raise the limit or lower --workers (a run uses up to ${BESIDE_WORKERS} connections more than that), ${AGAIN}.`,
      };
    case SQLSTATE.insufficientPrivilege:
      return {
        what: `${where}: ${text}`,
        next: `As the database's owner: GRANT CONNECT ON DATABASE ... TO ...; ${AGAIN}.`,
      };
    case "57P03":
      return {
        what: `the server at ${server} is starting or stopping: ${text}`,
        next: `Wait until it is up, ${AGAIN}.`,
      };
    default:
      return {
        what: `the server at ${server} refused the connection: ${text}`,
        next: `Mend that, ${AGAIN}.`,
      };
  }
  return explainNetwork(target, error) ?? explainTls(target, error, text);
}

/** SQLSTATE 28000: no line in pg_hba.conf, a role that is missing or may not log in, a client certificate that is asked for. */
function explainRefusal(target: Target, text: string): { what: string; next: string } {
  const what = `the server does not let ${describeTarget(target)} in: ${text}`;
  if (/pg_hba\.conf/.test(text)) {
    const tls = /no encryption|SSL off/.test(text) ? "ask for TLS with sslmode=require, or " : "";
    return {
      what,
      next: `To mend it, ${tls}add a line to the server's pg_hba.conf for this address, user and database and reload it; ${AGAIN}.`,
    };
  }
  if (/client certificate|certificate authentication/.test(text)) {
    return {
      what,
      next: `Set PGSSLCERT and PGSSLKEY to a client certificate that the server knows, ${AGAIN}.`,
    };
  }
  return { what, next: `Check PGUSER or the user in --url: the role must exist and have LOGIN; ${AGAIN}.` };
}

function explainNetwork(target: Target, error: unknown): { what: string; next: string } | null {
  const where = describeTarget(target);
  if (isTimeout(error)) {
    return {
      what: `${target.host}:${target.port} did not answer in ${target.connectTimeoutMs / 1000} s`,
      next: `Check the address and any firewall, or allow more time with PGCONNECT_TIMEOUT (seconds), ${AGAIN}.`,
    };
  }
  const code = networkProblem(error);
  if (code === null) return null;
  const psql = "psql with the same settings must connect";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    return {
      what: `cannot reach ${where}: there is no host named ${target.host} (${code})`,
      next: `Check the host in --url, DATABASE_URL or PGHOST: ${psql}.`,
    };
  }
  if (target.host.startsWith("/")) {
    return {
      what: `cannot reach ${where}: no server answers on the socket ${target.host}/.s.PGSQL.${target.port} (${code})`,
      next: `Check that the server runs on this machine and keeps its socket there, or set PGHOST: ${psql}.`,
    };
  }
  return {
    what: `cannot reach ${where}: ${textOf(error)}`,
    next: `Check that the server runs there and that --url, DATABASE_URL or PGHOST and PGPORT point at it: ${psql}.`,
  };
}

function explainTls(target: Target, error: unknown, text: string): { what: string; next: string } {
  const server = `${target.host}:${target.port}`;
  const code = codeOf(error) ?? "";
  const loose = "or use sslmode=require to encrypt without checking who answers";
  if (NO_TLS.test(text)) {
    return {
      what: `the server at ${server} does not speak TLS, and sslmode=${target.sslMode} insists on it`,
      next: `Switch TLS on in the server (ssl = on), or use sslmode=prefer, ${AGAIN}.`,
    };
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return {
      what: `the certificate of ${server} was made for another host name: ${text}`,
      next: `Connect under the name in the certificate (PGHOST, with PGHOSTADDR for the address), or use sslmode=verify-ca, ${AGAIN}.`,
    };
  }
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    return {
      what: `the certificate of ${server} is not valid today: ${text}`,
      next: `Renew the server's certificate, ${AGAIN}.`,
    };
  }
  if (/CERT|SIGNATURE|ISSUER/.test(code) && !code.startsWith("ERR_SSL")) {
    const root = target.sslRootCert ?? "the root certificate";
    const unasked = target.sslMode.startsWith("verify")
      ? loose
      : "or remove that file to encrypt without checking";
    return {
      what: `the certificate of ${server} was not signed by a CA of ${root}: ${text}`,
      next: `Set PGSSLROOTCERT (or sslrootcert=) to the certificate of the CA that signed it, ${unasked}, ${AGAIN}.`,
    };
  }
  return {
    what: `no connection to ${describeTarget(target)}: ${text}`,
    next: `Check the server's log, sslmode and the certificates; psql with the same settings must connect.`,
  };
}

/** The code of an operating system or name service error, or null: the server was not reached at all. */
function networkProblem(error: unknown): string | null {
  const code = codeOf(error);
  return code !== null && /^E(?!RR_|PROTO)[A-Z_]+$/.test(code) && code !== "ECONNRESET" && code !== "EPIPE"
    ? code
    : null;
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === "timeout expired"; // pg/lib/client.js, connectionTimeoutMillis
}

function codeOf(error: unknown): string | null {
  if (typeof error !== "object" || error === null || !("code" in error)) return null;
  return typeof error.code === "string" ? error.code : null;
}

/** The message; a host with several addresses gives an AggregateError whose own message is empty. */
function textOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") {
    return redact(error.errors.map(messageOf).join("; "));
  }
  return redact(messageOf(error));
}

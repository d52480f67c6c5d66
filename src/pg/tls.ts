/** TLS as libpq names it. https://www.postgresql.org/docs/current/libpq-ssl.html */
import { readFileSync, type Stats, statSync } from "node:fs";
import { isIP } from "node:net";
import { type ConnectionOptions, createSecureContext } from "node:tls";
import { badInput, messageOf } from "../errors.js";
import type { Target } from "./target.js";

/**
 * The `ssl` values to try, in order. `prefer` tries TLS, then plain; `allow` the reverse; `require` and above TLS alone.
 * `verify-ca` checks the chain, `verify-full` the host name too. Where a root certificate exists the weaker modes check
 * the chain as well, as libpq does (psql 15: `prefer` with a foreign root certificate ends in a plain connection,
 * `require` in a refusal). A unix socket is never encrypted, whatever the mode.
 * Errors: bad-input naming the certificate or key file that is missing, unreadable or open to others.
 */
export function tlsAttempts(target: Target): (false | ConnectionOptions)[] {
  if ((target.hostAddress ?? target.host).startsWith("/") || target.sslMode === "disable") return [false];
  const tls = tlsOptions(target);
  if (target.sslMode === "allow") return [false, tls];
  if (target.sslMode === "prefer") return [tls, false];
  return [tls];
}

function tlsOptions(target: Target): ConnectionOptions {
  const verified = target.sslMode === "verify-ca" || target.sslMode === "verify-full";
  const system = target.sslRootCert === "system";
  const ca = system ? null : rootCertificate(target.sslRootCert);
  if (verified && !system && ca === null) {
    throw badInput(
      target.sslRootCert === null
        ? `sslmode=${target.sslMode} needs a root certificate to check the server against, and none is given`
        : `the root certificate file ${target.sslRootCert} does not exist`,
      "Set PGSSLROOTCERT (or sslrootcert=) to the CA's certificate file, or to system for a public CA.",
    );
  }
  const options: ConnectionOptions = {
    ...(ca === null ? {} : { ca }),
    ...clientCertificate(target),
    rejectUnauthorized: ca !== null || system,
    // The name to check is the host that was asked for, also when its address is given apart (hostaddr).
    ...(target.hostAddress === undefined || target.hostAddress === null
      ? {}
      : { host: target.host, servername: isIP(target.host) === 0 ? target.host : "" }),
    ...(target.sslMode === "verify-full" ? {} : { checkServerIdentity: () => undefined }),
  };
  try {
    createSecureContext(options);
  } catch (error) {
    throw badInput(
      `the TLS certificate or key cannot be used: ${messageOf(error)}`,
      "Check sslrootcert, sslcert and sslkey: PEM files, a key that belongs to the certificate, no passphrase.",
    );
  }
  return options;
}

/** The PEM text, or null where there is no such file: libpq then goes on without a check, unless the mode is verify-*. */
function rootCertificate(file: string | null): string | null {
  if (file === null || statOf(file) === null) return null;
  const pem = read(file, "root certificate");
  if (!pem.includes("-----BEGIN")) {
    throw badInput(
      `the root certificate file ${file} holds no certificate`,
      "Point sslrootcert at the CA's PEM file.",
    );
  }
  return pem;
}

/** The client certificate and its key; libpq goes on without one where the certificate file does not exist. */
function clientCertificate(target: Target): { cert?: string; key?: string } {
  if (target.sslCert === null || statOf(target.sslCert) === null) return {};
  const cert = read(target.sslCert, "client certificate");
  const stat = target.sslKey === null ? null : statOf(target.sslKey);
  if (target.sslKey === null || stat === null) {
    throw badInput(
      `the client certificate ${target.sslCert} has no private key file${target.sslKey === null ? "" : ` ${target.sslKey}`}`,
      "Set PGSSLKEY (or sslkey=) to the key's file.",
    );
  }
  // libpq's rule: 0600 for one's own key, 0640 for one that belongs to root.
  if (!stat.isFile() || (stat.mode & (stat.uid === 0 ? 0o037 : 0o077)) !== 0) {
    throw badInput(`the private key file ${target.sslKey} is open to others`, `chmod 600 ${target.sslKey}`);
  }
  return { cert, key: read(target.sslKey, "private key") };
}

function statOf(file: string): Stats | null {
  try {
    return statSync(file, { throwIfNoEntry: false }) ?? null;
  } catch (error) {
    throw badInput(`${file} cannot be looked at: ${messageOf(error)}`, `ls -l ${file}`);
  }
}

function read(file: string, what: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw badInput(`the ${what} file ${file} cannot be read: ${messageOf(error)}`, `ls -l ${file}`);
  }
}

/**
 * The log file: one JSON object a line, written before the call returns, so that the last line before a crash is there.
 * No secret reaches it: every string of a finished line is searched before it is written, whatever put it there.
 */
import { closeSync, fchmodSync, fstatSync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { type Logger, pino, stdSerializers, stdTimeFunctions } from "pino";
import { badInput, messageOf } from "./errors.js";

export type { Logger };

const HIDDEN = "[secret]";

/** Object keys whose whole value is hidden. */
const SECRET_KEY =
  /passw(or)?d|^pwd$|passphrase|secret|token$|authorization|(^|_|[a-z])(url|uri|dsn)$|^(URL|URI|DSN)$|conn(ection)?_?str(ing)?|conninfo/i;

const registered = new Set<string>();

/** From now on `value` is hidden wherever it turns up in a log line or in `redact`, also as a URL or JSON writes it. */
export function registerSecret(value: string): void {
  if (value === "") return;
  const json = JSON.stringify(value).slice(1, -1);
  for (const form of [value, encodeURIComponent(value), json, json.replaceAll('\\"', '"')])
    registered.add(form);
}

/**
 * `text` without its secrets: registered values, the password of any URL, and what follows password= or PASSWORD '...'.
 * A registered value shorter than four characters is hidden only where it stands alone, or no text would stay readable.
 */
export function redact(text: string): string {
  let out = text;
  // Longest first, so that a secret that contains another one is hidden whole.
  for (const secret of [...registered].sort((a, b) => b.length - a.length)) {
    if (!out.includes(secret)) continue;
    if (secret.length >= 4) {
      out = out.replaceAll(secret, HIDDEN);
      continue;
    }
    const literal = secret.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
    out = out.replace(new RegExp(`(?<![\\p{L}\\p{N}])${literal}(?![\\p{L}\\p{N}])`, "gu"), HIDDEN);
  }
  return (
    out
      // Up to the last @ of the word: a password that was not percent-encoded may hold @, : or /. The scheme may be
      // hidden already, where somebody's password is "postgres".
      .replace(/((?:[a-z]|\[secret\])[a-z0-9+.-]*:\/\/[^\s:@/]*):\S*@/gi, `$1:${HIDDEN}@`)
      .replace(
        /((?:passw(?:or)?d|passphrase|\[secret\])\w*)(["']?\s*[=:]\s*|\s+(?=['"]))("[^"]*"|'(?:[^']|'')*'|[^\s&,;'"]+)/gi,
        `$1$2${HIDDEN}`,
      )
  );
}

/** The same for any JSON value; numbers and booleans stay. */
function clean(value: unknown): unknown {
  if (typeof value === "string") return redact(value);
  if (Array.isArray(value)) return value.map(clean);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      redact(key),
      SECRET_KEY.test(key) && inner !== null && typeof inner !== "boolean" ? HIDDEN : clean(inner),
    ]),
  );
}

/**
 * Opens (or goes on with) the log `file`, mode 0600; directories that are missing are made with mode 0700.
 * Errors: bad-input naming the path when it cannot be written. A disk that fills up later is warned of once and does
 * not stop a migration.
 */
export function openLog(file: string): Logger {
  const fd = openForAppend(file);
  let warned = false;
  const destination = {
    write(line: string): void {
      try {
        writeSync(fd, `${JSON.stringify(clean(JSON.parse(line)))}\n`);
        warned = false;
      } catch (error) {
        if (!warned) process.emitWarning(`the log file ${file} cannot be written: ${messageOf(error)}`);
        warned = true;
      }
    },
  };
  const error = stdSerializers.err;
  return pino(
    {
      level: "info",
      base: { pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: error, error, cause: error, reason: error },
    },
    destination,
  );
}

function openForAppend(file: string): number {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const fd = openSync(file, "a", 0o600);
    try {
      if (fstatSync(fd).isFile()) fchmodSync(fd, 0o600); // the file may be older than this rule; /dev/stderr is no file
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    return fd;
  } catch (error) {
    throw badInput(
      `the log file ${file} cannot be opened for writing: ${messageOf(error)}`,
      `Make it writable, or choose another state directory: ls -ld ${dirname(file)}`,
    );
  }
}

/** Keeps passwords out of the journal: what is planned is refused, what merely happens (errors, log lines) is redacted. */
import { badInput } from "../src/errors.js";

/** `://user:password@`, up to the last @ of the authority; `://user:***@` is already redacted. RFC 3986, 3.2. */
const CREDENTIALS = /(:\/\/[^\s/?#@:]*:)(?!\*+@)[^\s/?#]+(?=@)/;
const EVERY_CREDENTIALS = new RegExp(CREDENTIALS, "g");

/** The text with every URL password replaced by ***. */
export function redact(text: string): string {
  return text.replaceAll(EVERY_CREDENTIALS, "$1***");
}

/** JSON text with every URL password in it replaced by ***. undefined becomes null. */
export function redactedJson(value: unknown): string {
  return JSON.stringify(value ?? null, (_key, inner: unknown) =>
    typeof inner === "string" ? redact(inner) : inner,
  );
}

/**
 * JSON text of `value`. Errors: bad-input when a string in it holds a URL with a password, naming where it stands
 * (`plan.source.columns.3.default`) and never the string.
 */
export function secretFreeJson(name: string, value: unknown): string {
  const text = JSON.stringify(value ?? null);
  const where = findCredentials(JSON.parse(text), name);
  if (where !== null)
    throw badInput(
      `${where} contains a URL with a password, and the journal must not hold secrets`,
      "Take the password out of it (a comment, a column default or a path?) or name the server without it, then run the same command again.",
    );
  return text;
}

function findCredentials(value: unknown, path: string): string | null {
  if (typeof value === "string") return CREDENTIALS.test(value) ? path : null;
  if (typeof value !== "object" || value === null) return null;
  for (const [key, inner] of Object.entries(value)) {
    if (CREDENTIALS.test(key)) return `a field name in ${path}`;
    const found = findCredentials(inner, `${path}.${key}`);
    if (found !== null) return found;
  }
  return null;
}

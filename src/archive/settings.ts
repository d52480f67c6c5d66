/** Where an archive goes, as it is typed: a folder or a bucket. Pure. */
import { isAbsolute } from "node:path";
import type { ArchiveSettings } from "../config/schema.js";
import { badInput } from "../errors.js";

export type Where =
  | { kind: "folder"; path: string }
  | { kind: "s3"; bucket: string; prefix: string; endpoint: string | undefined; region: string | undefined };

const HOW = "Write an absolute path, or s3://bucket/prefix.";

/** `of`: the table or command that says so. Errors: bad-input naming what is wrong. */
export function whereOf(
  { to, endpoint, region }: Pick<ArchiveSettings, "to" | "endpoint" | "region">,
  of: string,
): Where {
  if (!to.startsWith("s3://")) {
    if (endpoint !== undefined || region !== undefined)
      throw badInput(`${of}: endpoint and region are for s3://, not for the folder ${to}`, "Leave them out.");
    if (!isAbsolute(to) || to.includes("\0")) throw badInput(`${of}: archives cannot go to "${to}"`, HOW);
    return { kind: "folder", path: to };
  }
  const match = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/([^?#]*))?$/.exec(to);
  if (match === null) throw badInput(`${of}: archives cannot go to "${to}"`, HOW);
  const [, bucket = "", prefix = ""] = match;
  return {
    kind: "s3",
    bucket,
    prefix: prefix.replace(/\/+$/, ""),
    endpoint: endpointOf(endpoint, of),
    region,
  };
}

/** An address with a password in it would be stored and shown. */
function endpointOf(endpoint: string | undefined, of: string): string | undefined {
  if (endpoint === undefined) return undefined;
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  const isPlain =
    url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "";
  if (isPlain && url.search === "") return endpoint;
  throw badInput(
    `${of}: the endpoint is not an http(s) address without user and password`,
    "Write https://storage.example.com; credentials come from the environment, as the AWS tools read them.",
  );
}

/** Settings that can be used. Errors: bad-input. */
export function checkArchive(settings: ArchiveSettings, of: string): ArchiveSettings {
  whereOf(settings, of);
  const { keyFile, keyEnv } = settings;
  if (keyFile !== undefined && keyEnv !== undefined)
    throw badInput(`${of}: a key file and a variable for the key exclude each other`, "Give one of them.");
  if (keyFile !== undefined && !isAbsolute(keyFile))
    throw badInput(`${of}: the key file "${keyFile}" is no absolute path`, "Write its whole path.");
  if (keyEnv !== undefined && !/^[A-Za-z_][A-Za-z0-9_]*$/.test(keyEnv))
    throw badInput(`${of}: "${keyEnv}" is no variable's name`, "Write its name, not the key.");
  return settings;
}

/** Who may call the service. A token is 256 random bits, so its plain SHA-256 is enough to keep. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Scope } from "../config/serve.js";

export interface Token {
  name: string;
  /** In hexadecimal. */
  sha256: string;
  scope: Scope;
}

/** A token and what is kept of it. */
export function newToken(name: string, scope: Scope): { token: string; kept: Token } {
  const token = `pw_${randomBytes(32).toString("base64url")}`;
  return { token, kept: { name, scope, sha256: digest(token).toString("hex") } };
}

/**
 * The holder of `presented`, or null. Digests are compared, each in constant time, and always with all of them: neither
 * a token's bytes nor its place in the list can be measured.
 */
export function holderOf(presented: string, tokens: readonly Token[]): Token | null {
  const given = digest(presented);
  let holder: Token | null = null;
  for (const token of tokens) {
    const isIt = timingSafeEqual(given, Buffer.from(token.sha256, "hex"));
    if (isIt && holder === null) holder = token;
  }
  return holder;
}

/** `Bearer <token>`; with `basic`, too, the password of `Basic`, which is what a browser asks for. Null: none is given. */
export function presentedIn(authorization: string | undefined, basic: boolean): string | null {
  const [, scheme = "", value = ""] =
    /^([A-Za-z]+) +([A-Za-z0-9._~+/=-]+) *$/.exec(authorization ?? "") ?? [];
  if (scheme.toLowerCase() === "bearer") return value;
  if (!basic || scheme.toLowerCase() !== "basic") return null;
  const decoded = Buffer.from(value, "base64").toString("utf8");
  const at = decoded.indexOf(":");
  return at < 0 ? null : decoded.slice(at + 1);
}

function digest(token: string): Buffer {
  return createHash("sha256").update(token, "utf8").digest();
}

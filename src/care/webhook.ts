/** A POST to an address that is a secret: who knows a webhook's path can write to it. Only its host is ever told. */
import { badInput, messageOf } from "../errors.js";
import { redact, registerSecret } from "../log.js";

export interface Webhook {
  /** Scheme and host, for people. */
  shown: string;
  post(body: unknown, timeoutMs: number): Promise<{ ok: boolean; how: string }>;
}

/** `https://...`, or `env:NAME` for an address that stands in the environment. Errors: bad-input without the address. */
export function parseWebhook(text: string, env: NodeJS.ProcessEnv): Webhook {
  const name = /^env:(\w+)$/.exec(text)?.[1];
  const address = name === undefined ? text : (env[name] ?? "");
  const known = addressOf(address);
  if (known === null)
    throw badInput(
      name === undefined
        ? "--webhook: that is not an http or https address"
        : `--webhook: ${name} holds no http or https address`,
      "For example --webhook https://hooks.example.com/services/..., or --webhook env:NAME.",
    );
  const { url, user, password } = known;
  for (const secret of [address, url.pathname.length > 1 ? url.pathname : "", url.search, password])
    registerSecret(secret);
  const headers: Record<string, string> = { "content-type": "application/json" };
  // fetch takes no address with a password in it.
  if (url.username !== "" || url.password !== "") {
    headers["authorization"] = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
    url.username = "";
    url.password = "";
  }
  return { shown: url.origin, post: (body, timeoutMs) => post(url, headers, body, timeoutMs) };
}

function addressOf(text: string): { url: URL; user: string; password: string } | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  if (!/^https?:$/.test(url.protocol)) return null;
  try {
    return { url, user: decodeURIComponent(url.username), password: decodeURIComponent(url.password) };
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return null;
  }
}

async function post(url: URL, headers: Record<string, string>, body: unknown, timeoutMs: number) {
  try {
    const answer = await fetch(url, {
      ...{ method: "POST", headers, body: JSON.stringify(body) },
      // What is told would go to whoever the answer names.
      redirect: "manual",
      signal: AbortSignal.timeout(timeoutMs),
    });
    await answer.body?.cancel();
    const { status } = answer;
    if (status >= 300 && status < 400)
      return { ok: false, how: `a redirect (${status}), which is not followed` };
    return { ok: answer.ok, how: `status ${status}` };
  } catch (error) {
    if (error instanceof Error && error.name === "TimeoutError")
      return { ok: false, how: `no answer in ${timeoutMs / 1000} s` };
    const cause = error instanceof Error && error.cause !== undefined ? `: ${messageOf(error.cause)}` : "";
    return { ok: false, how: redact(`${messageOf(error)}${cause}`) };
  }
}

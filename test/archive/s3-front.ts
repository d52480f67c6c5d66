/**
 * Between Partway and the S3 server of the tests: hands every request on, knows what went by, can call somebody at one
 * of them, and lists and aborts multipart uploads, which that server stores and does neither of.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { join } from "node:path";
import type { S3Server } from "./s3.js";

export interface S3Front {
  endpoint: string;
  /** Calls `strike` once, instead of handing on the `nth` request that `line` matches: `METHOD /bucket/key?query`. */
  arm(line: RegExp, strike: () => void, nth?: number): void;
  /** Whether what was armed last has been met. */
  happened(): boolean;
  /** Keys of uploads that were begun and neither completed nor aborted. */
  uploads(): string[];
  /** From now on uploads can be listed and aborted (or not any more: as the server itself has it). */
  lists(can: boolean): void;
  stop(): Promise<void>;
}

/** Where the server keeps uploads of its bucket. */
const UPLOADS = "._S3rver_uploads";

export async function startS3Front(s3: S3Server): Promise<S3Front> {
  const target = new URL(s3.endpoint);
  const dir = join(s3.dir, "archive", UPLOADS);
  const begun = () =>
    existsSync(dir)
      ? readdirSync(dir).map((id) => ({ id, key: readFileSync(join(dir, id, "key"), "utf8") }))
      : [];
  let armed: { line: RegExp; left: number; strike(): void } | null = null;
  let canList = true;

  const handOn = (from: IncomingMessage, to: ServerResponse) => {
    const { method, headers, url } = from;
    const onward = request(
      { host: target.hostname, port: target.port, method, headers, path: url },
      (answer) => {
        to.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(to);
      },
    );
    onward.on("error", () => to.destroy());
    // Who was killed sends no more.
    from.on("error", () => onward.destroy());
    to.on("error", () => onward.destroy());
    from.pipe(onward);
  };
  const listener = createServer((from, to) => {
    const line = `${from.method} ${from.url}`;
    if (armed?.line.test(line) === true) {
      armed.left -= 1;
      if (armed.left === 0) {
        const { strike } = armed;
        armed = null;
        from.on("error", () => undefined);
        strike();
        return;
      }
    }
    const { pathname, searchParams } = new URL(from.url ?? "/", s3.endpoint);
    if (canList && from.method === "GET" && searchParams.has("uploads")) {
      const prefix = searchParams.get("prefix") ?? "";
      const found = begun().filter(({ key }) => key.startsWith(prefix));
      const xml = found.map(({ id, key }) => `<Upload><Key>${key}</Key><UploadId>${id}</UploadId></Upload>`);
      to.setHeader("content-type", "application/xml");
      to.end(`<ListMultipartUploadsResult>${xml.join("")}</ListMultipartUploadsResult>`);
      return;
    }
    const id = searchParams.get("uploadId");
    if (canList && from.method === "DELETE" && id !== null) {
      const one = begun().find((upload) => upload.id === id && pathname === `/archive/${upload.key}`);
      if (one !== undefined) rmSync(join(dir, id), { recursive: true });
      to.writeHead(one === undefined ? 404 : 204).end();
      return;
    }
    handOn(from, to);
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const address = listener.address();
  if (address === null || typeof address === "string") throw new Error("the front has no port");
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    arm: (line, strike, nth = 1) => {
      armed = { line, left: nth, strike };
    },
    happened: () => armed === null,
    uploads: () => begun().map(({ key }) => key),
    lists: (can) => {
      canList = can;
    },
    stop: async () => {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
      listener.closeAllConnections();
      await closed;
    },
  };
}

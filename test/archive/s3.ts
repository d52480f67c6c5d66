/** A real S3 server (s3rver) in a process and a folder of its own, with one bucket, `archive`. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface S3Server {
  endpoint: string;
  /** Where it keeps its objects. */
  dir: string;
  /** The credentials it takes, for the environment of whoever asks it. */
  env: Record<string, string>;
  stop(): Promise<void>;
}

export async function startS3(): Promise<S3Server> {
  const dir = mkdtempSync(join(tmpdir(), "partway-s3-"));
  const program = createRequire(import.meta.url).resolve("s3rver/bin/s3rver.js");
  const args = [program, "-d", dir, "-a", "127.0.0.1", "-p", "0", "--configure-bucket", "archive"];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  child.stderr.resume();
  const port = await new Promise<string>((resolve, reject) => {
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      const found = /listening on 127\.0\.0\.1:(\d+)/.exec(said)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once("exit", () => reject(new Error(`the S3 server did not start: ${said}`)));
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    endpoint: `http://127.0.0.1:${port}`,
    dir,
    env: { AWS_ACCESS_KEY_ID: "S3RVER", AWS_SECRET_ACCESS_KEY: "S3RVER" },
    stop: async () => {
      child.kill();
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** One server for a whole test project; the project's name says which version. */
import type { TestProject } from "vitest/node";
import { type RunningServer, type ServerVersion, startServer } from "./server.js";
import { versionOf } from "./versions.js";

declare module "vitest" {
  interface ProvidedContext {
    server: { superuserUrl: string; version: ServerVersion };
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const version = versionOf(project.name.replace("pg", ""));
  const server: RunningServer = await startServer(version);
  project.provide("server", { superuserUrl: server.superuserUrl, version });
  return () => server.stop();
}

/** The version in package.json, found upwards from this file: in the sources and in dist the distance differs. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";

const Package = z.object({ name: z.literal("partway"), version: z.string() });

export function version(): string {
  for (let dir = dirname(fileURLToPath(import.meta.url)); dir !== dirname(dir); dir = dirname(dir)) {
    const file = join(dir, "package.json");
    if (!existsSync(file)) continue;
    const parsed = Package.safeParse(JSON.parse(readFileSync(file, "utf8")));
    if (parsed.success) return parsed.data.version;
  }
  return "unknown";
}

/**
 * The command line in one file, as the campaign starts it a thousand times: 0.2 s to start instead of 0.8 s. What is
 * native stays outside, so the bundle lies inside the project, where its packages are found.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const ROOT = join(import.meta.dirname, "../..");

export async function bundleCli(): Promise<{ file: string; remove(): void }> {
  const cache = join(ROOT, "node_modules", ".cache");
  mkdirSync(cache, { recursive: true });
  const dir = mkdtempSync(join(cache, "partway-kill-"));
  const file = join(dir, "cli.mjs");
  await build({
    entryPoints: [join(ROOT, "src/cli.ts")],
    outdir: dir,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    // What is imported late (the screen) stays late.
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node20",
    minify: true,
    external: ["better-sqlite3", "pg-native", "react-devtools-core"],
    define: { "process.env.NODE_ENV": '"production"' },
    banner: {
      js: 'import { createRequire as killCreateRequire } from "node:module"; const require = killCreateRequire(import.meta.url);',
    },
    logLevel: "error",
  });
  return { file, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

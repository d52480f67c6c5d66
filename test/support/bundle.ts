/**
 * The command line in one file, as the tests start it thousands of times: half the processor time of the compiled one,
 * and two fifths of it to build. What is native stays outside, so the bundle lies inside the project, where its
 * packages are found. Compiled by tsc, file by file as it is installed: test/docs on 15.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";

const ROOT = join(import.meta.dirname, "../..");

/** `entry`: the command line's first file. The bundle's folder goes with `remove`. */
export function bundleCli(entry = join(ROOT, "src/cli.ts")): { file: string; remove(): void } {
  const cache = join(ROOT, "node_modules", ".cache");
  mkdirSync(cache, { recursive: true });
  const dir = mkdtempSync(join(cache, "partway-cli-"));
  const file = join(dir, "cli.mjs");
  buildSync({
    entryPoints: [entry],
    outdir: dir,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    // What is imported late (the screen) stays late.
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node20",
    minify: true,
    external: [
      ...["better-sqlite3", "libpg-query", "pg-native", "react-devtools-core"],
      // Hono answers with a Response, which is defined away below.
      ...["hono", "@hono/*"],
      // Large, and loaded only for archives in S3.
      ...["@aws-sdk/client-s3", "@aws-sdk/lib-storage"],
    ],
    // pg asks Response whether it runs at Cloudflare; on Node 20 that alone loads fetch, a tenth of a start.
    define: { "process.env.NODE_ENV": '"production"', Response: "undefined" },
    banner: {
      js: 'import { createRequire as bundleRequire } from "node:module"; const require = bundleRequire(import.meta.url);',
    },
    logLevel: "error",
  });
  return { file, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

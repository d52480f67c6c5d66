/** Finds and reads `partway.config.*` (js, ts, mjs, json, jsonc, json5, yaml, toml) with c12. */
import { readdir } from "node:fs/promises";
import { isAbsolute, join, resolve } from "node:path";
import type { z } from "zod";
import { badInput, messageOf } from "../errors.js";
import { mergeOn } from "../hooks/names.js";
import { type Config, configSchema, type TablePolicy } from "./schema.js";
import { parseTableName, sameTable } from "./table-name.js";

export interface LoadedConfig {
  config: Config;
  /** The file that was read; null when there is none, which is fine. */
  file: string | null;
}

/**
 * The configuration in `cwd`, or in the file the operator named. Only that one file counts: no rc files, no
 * package.json, no .env, no NODE_ENV overlay and nothing downloaded, so what a run does can be read in one place.
 * Errors: bad-input naming the file and the key.
 */
export async function loadConfig(options: { cwd: string; file?: string }): Promise<LoadedConfig> {
  const named = options.file === undefined ? undefined : absolute(options.cwd, options.file);
  const loaded =
    named === undefined && !(await mayHaveOne(options.cwd))
      ? { content: null, file: null }
      : await read(options.cwd, named);
  if (loaded.file === null) {
    if (named === undefined) return { config: configSchema.parse({}), file: null };
    throw badInput(`there is no configuration file ${named}`, "Check --config, or leave it out.");
  }
  const parsed = configSchema.safeParse(loaded.content);
  if (!parsed.success) throw malformed(loaded.file, parsed.error);
  checkTableNames(loaded.file, "tables", parsed.data.tables);
  checkTableNames(loaded.file, "partitions", parsed.data.partitions);
  return { config: parsed.data, file: loaded.file };
}

/** What the file says about one table (named as typed), its own entry over the settings for all; smoke checks add up. */
export function configFor(config: Config, table: string): TablePolicy {
  const { tables, parallel, partitions, serve, $schema, ...common } = config;
  const found = Object.entries(tables).find(([name]) => sameTable(name, table))?.[1] ?? {};
  // When its turn comes is not how it is migrated.
  const { priority, after, together, ...entry } = found;
  const smoke = [...(common.smoke ?? []), ...(entry.smoke ?? [])];
  return { ...common, ...entry, on: mergeOn(common.on, entry.on), ...(smoke.length === 0 ? {} : { smoke }) };
}

/**
 * Whether c12 could find one: it looks for partway.config.* in the folder, and there in .config also for partway.*.
 * Most folders have none, and c12 with its TypeScript loader takes a fifth of a command's start.
 */
async function mayHaveOne(cwd: string): Promise<boolean> {
  const has = async (dir: string) =>
    (await readdir(dir)).some((name) => name.toLowerCase().startsWith("partway"));
  try {
    return (await has(cwd)) || (await has(join(cwd, ".config")));
  } catch (error) {
    // Where there is no folder there is no file; one that cannot be listed may have one all the same.
    return !(error instanceof Error && "code" in error && error.code === "ENOENT");
  }
}

async function read(
  cwd: string,
  file: string | undefined,
): Promise<{ content: unknown; file: string | null }> {
  let found: string | null = null;
  const { loadConfig: loadWithC12 } = await import("c12");
  try {
    // The object is kept as it was written: c12's default merger would drop null values without a word.
    let content: unknown = null;
    const result = await loadWithC12({
      name: "partway",
      cwd,
      ...(file === undefined ? {} : { configFile: file }),
      rcFile: false,
      globalRc: false,
      packageJson: false,
      dotenv: false,
      extend: false,
      giget: false,
      envName: false,
      merger: (...sources) => {
        content = sources.find((source) => source !== null && source !== undefined) ?? {};
        return {};
      },
    });
    found = result._configFile ?? null;
    return { content: Array.isArray(result.config) ? result.config : content, file: found };
  } catch (error) {
    throw badInput(
      `cannot read the configuration ${file ?? `partway.config.* in ${cwd}`}: ${messageOf(error)}`,
      "Mend the file, or name another with --config.",
      error,
    );
  }
}

function malformed(file: string, error: z.ZodError): Error {
  const problems = error.issues.map((issue) => {
    const path = issue.path.map(String);
    if (issue.code === "unrecognized_keys")
      return issue.keys.map((key) => `${[...path, key].join(".")}: there is no such key`).join("; ");
    const why = issue.code === "invalid_key" ? (issue.issues[0]?.message ?? issue.message) : issue.message;
    return `${path.join(".") || "the whole file"}: ${why}`;
  });
  const known = Object.keys(configSchema.shape).join(", ");
  return badInput(
    `${file}: ${problems.join("; ")}`,
    `Mend the file. Keys at the top: ${known}; see README.md, Configuration.`,
  );
}

function checkTableNames(file: string, key: "tables" | "partitions", entries: Record<string, unknown>): void {
  const names = Object.keys(entries);
  for (const [at, name] of names.entries()) {
    try {
      parseTableName(name);
    } catch (error) {
      throw badInput(
        `${file}: ${key}.${name}: ${messageOf(error)}`,
        "Write table, schema.table or a quoted name.",
        error,
      );
    }
    const twin = names.slice(0, at).find((other) => sameTable(other, name));
    if (twin !== undefined)
      throw badInput(
        `${file}: ${key}.${twin} and ${key}.${name} are the same table`,
        "Keep one of the two entries.",
      );
  }
}

function absolute(cwd: string, file: string): string {
  return isAbsolute(file) ? file : resolve(cwd, file);
}

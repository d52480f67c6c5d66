import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { configFor, loadConfig } from "../../src/config/load.js";
import { parseRequest } from "../../src/config/request.js";

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), "partway-config-"));
});
afterEach(() => {
  rmSync(cwd, { recursive: true });
});

function write(name: string, content: string): string {
  writeFileSync(join(cwd, name), content);
  return join(cwd, name);
}

describe("the configuration file", () => {
  test("is not needed", async () => {
    expect(await loadConfig({ cwd })).toEqual({ config: { tables: {}, partitions: {} }, file: null });
  });

  test("in .config is read, under either name", async () => {
    mkdirSync(join(cwd, ".config"));
    for (const name of ["partway.yaml", "partway.config.json"]) {
      const path = write(join(".config", name), '{"workers": 3}');
      expect(await loadConfig({ cwd })).toMatchObject({ config: { workers: "3" }, file: path });
      rmSync(path);
    }
    expect((await loadConfig({ cwd })).file).toBeNull();
  });

  test("in TypeScript, YAML or JSON says the same", async () => {
    const tables = {
      "public.jobs": { by: "created_at", every: "month", ahead: 24, leaf: "jobs_y{YYYY}m{MM}" },
    };
    const files: [string, string][] = [
      [
        "partway.config.ts",
        `const workers: number = 4;\nexport default { workers, keep: "7d", tables: ${JSON.stringify(tables)} };`,
      ],
      [
        "partway.config.yaml",
        "workers: 4\nkeep: 7d\ntables:\n  public.jobs: {by: created_at, every: month, ahead: 24, leaf: 'jobs_y{YYYY}m{MM}'}\n",
      ],
      ["partway.config.json", JSON.stringify({ workers: 4, keep: "7d", tables })],
    ];
    for (const [name, content] of files) {
      const path = write(name, content);
      const { config, file } = await loadConfig({ cwd });
      expect(file).toBe(path);
      expect(configFor(config, "jobs")).toEqual({
        workers: "4",
        keep: "7d",
        by: "created_at",
        every: "month",
        ahead: "24",
        leaf: "jobs_y{YYYY}m{MM}",
      });
      rmSync(path);
    }
  });

  test("a table's entry wins over the settings for all, and another table does not get it", async () => {
    write(
      "partway.config.json",
      JSON.stringify({ keep: "7d", workers: 4, tables: { a: { keep: "1w", workers: 1 } } }),
    );
    const { config } = await loadConfig({ cwd });
    expect(configFor(config, "a")).toEqual({ keep: "1w", workers: "1" });
    expect(configFor(config, "b")).toEqual({ keep: "7d", workers: "4" });
  });

  test("a list may hold values with commas", async () => {
    write("partway.config.json", JSON.stringify({ tables: { t: { by: "r", list: ["a,b", "", 7, true] } } }));
    const { config } = await loadConfig({ cwd });
    const { scheme } = parseRequest("t", configFor(config, "t"));
    expect(scheme).toEqual({ kind: "list", column: "r", values: ["a,b", "", "7", "true"] });
  });

  test("one that is named must be there, and is read from where it is named", async () => {
    await expect(loadConfig({ cwd, file: "other.json" })).rejects.toThrowError(
      /no configuration file .*other\.json/,
    );
    const path = write("other.json", JSON.stringify({ workers: 3 }));
    expect(await loadConfig({ cwd, file: "other.json" })).toEqual({
      config: { workers: "3", tables: {}, partitions: {} },
      file: path,
    });
    expect(await loadConfig({ cwd: "/", file: path })).toMatchObject({ file: path });
  });

  test.each<[string, string, RegExp]>([
    ["partway.config.json", `{"worker": 4}`, /partway\.config\.json: worker: there is no such key/],
    [
      "partway.config.json",
      `{"tables": {"jobs": {"evry": "month"}}}`,
      /tables\.jobs\.evry: there is no such key/,
    ],
    ["partway.config.json", `{"tables": {"jobs": {"ahead": -1}}}`, /tables\.jobs\.ahead: /],
    ["partway.config.json", `{"tables": {"jobs": {"by": null}}}`, /tables\.jobs\.by: /],
    ["partway.config.json", `{"tables": {"a b": {}}}`, /tables\.a b: .*not a table name/],
    [
      "partway.config.json",
      `{"tables": {"jobs": {}, "public.jobs": {}}}`,
      /tables\.jobs and tables\.public\.jobs are the same/,
    ],
    ["partway.config.json", `[1]`, /partway\.config\.json: /],
    ["partway.config.json", `{"workers": `, /cannot read the configuration/],
    ["partway.config.yaml", "tables: [", /cannot read the configuration/],
    ["partway.config.ts", "export default { workers: ", /cannot read the configuration/],
    ["partway.config.mjs", "throw new Error('boom')", /cannot read the configuration .*boom/],
    ["partway.config.json", `{"$production": {"workers": 4}}`, /\$production: there is no such key/],
    ["partway.config.json", `{"extends": "gh:someone/else"}`, /extends: there is no such key/],
  ])("%s with %s is refused by file and key", async (name, content, message) => {
    write(name, content);
    await expect(loadConfig({ cwd })).rejects.toThrowError(message);
    await expect(loadConfig({ cwd })).rejects.toThrowError(expect.objectContaining({ exitCode: 2 }));
  });
});

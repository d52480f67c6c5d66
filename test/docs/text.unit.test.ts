/** README and runbooks against the code: what one says and the other does not is a promise nobody keeps. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { buildProgram } from "../../src/commands/program.js";
import { configFor, loadConfig } from "../../src/config/load.js";
import { parseRequest, parseSettings } from "../../src/config/request.js";
import {
  configSchema,
  partitionPolicySchema,
  tableConfigSchema,
  thresholdsSchema,
} from "../../src/config/schema.js";
import { serveSchema } from "../../src/config/serve.js";
import { EXIT } from "../../src/errors.js";
import { REFUSALS } from "../../src/serve/refusals.js";
import { serveSettings } from "../../src/serve/settings.js";
import { newToken } from "../../src/serve/tokens.js";
import { codeSpans, PAGES, ROOT, read, scenesOf, tableOf } from "./markdown.js";

const program = buildProgram(() => Promise.resolve());

const GO_ON = ["resume", "cutover", "rollback", "finalize", "abort"];

describe("README names", () => {
  test("every command, and no other", () => {
    const listed = tableOf("README.md", "command").map(([cell = ""]) => codeSpans(cell)[0]?.split(" ")[1]);
    expect(listed.toSorted()).toEqual(program.commands.map((command) => command.name()).toSorted());
  });

  const documented = tableOf("README.md", "option").map(([flags = "", commands = "", means = ""]) => ({
    flags: codeSpans(flags)[0] ?? "",
    commands: commands.split(", ").flatMap((name) => (name === "go on" ? GO_ON : [name])),
    means,
  }));

  test.each(program.commands.map((command) => command.name()))("every option of %s, and no other", (name) => {
    const command = program.commands.find((one) => one.name() === name);
    const inHelp = command?.options.map((option) => option.flags) ?? [];
    const inReadme = documented.filter(({ commands }) => commands.includes(name)).map(({ flags }) => flags);
    expect(inReadme.toSorted()).toEqual(inHelp.toSorted());
  });

  test("the default that --help names", () => {
    for (const { flags, commands, means } of documented) {
      const command = program.commands.find((one) => one.name() === commands[0]);
      const help = command?.options.find((option) => option.flags === flags)?.description ?? "";
      const said = /\((default:? [^)]+)\)/.exec(help)?.[1];
      if (said !== undefined) expect(means, flags).toContain(said);
    }
  });

  test("every exit code", () => {
    const rows = tableOf("README.md", "code").map(([code, name]) => [name, Number(code)]);
    expect(Object.fromEntries(rows)).toEqual(EXIT);
  });

  test("every refusal code, and no other", () => {
    const listed = tableOf("README.md", "what").flatMap(([, codes = ""]) => codeSpans(codes));
    expect(new Set(listed).size).toBe(listed.length);
    expect(listed.toSorted()).toEqual(refusalCodes());
  });

  test("every key of the configuration file", () => {
    const section = read("README.md").split("### Configuration file")[1]?.split("```")[0] ?? "";
    const [, top = "", table = ""] = /At the top:(.*?)\. For each table .*? also:(.*)/s.exec(section) ?? [];
    expect(codeSpans(top).toSorted()).toEqual(Object.keys(configSchema.shape).toSorted());
    const both = new Set([...codeSpans(top), ...codeSpans(table)]);
    for (const whole of ["$schema", "tables", "parallel", "partitions", "serve"]) both.delete(whole);
    expect([...both].toSorted()).toEqual(Object.keys(tableConfigSchema.shape).toSorted());
  });

  test("every key of a policy", () => {
    const section =
      read("README.md").split("configuration file's `partitions`")[1]?.split("options win")[0] ?? "";
    const keys = [...Object.keys(partitionPolicySchema.shape), ...Object.keys(thresholdsSchema.shape)];
    expect(codeSpans(section).filter((span) => !span.includes(" "))).toEqual(expect.arrayContaining(keys));
  });

  test("npm scripts that there are", () => {
    const { scripts } = z
      .object({ scripts: z.record(z.string(), z.string()) })
      .parse(JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")));
    const typed = PAGES.flatMap(scenesOf).flatMap(({ blocks }) => blocks.flatMap(({ lines }) => lines));
    const named = typed.flatMap((line) => [...line.matchAll(/npm (?:run )?(demo|build|test|check)\b/g)]);
    expect(named.length).toBeGreaterThan(0);
    for (const [, script = ""] of named) expect(Object.keys(scripts)).toContain(script);
  });
});

/** The codes in the sources. A code that is not written as a literal must be dealt with here. */
function refusalCodes(): string[] {
  const COMPUTED: Record<string, string[]> = {
    "view.kind,": ["view", "materialized-view"],
    'index === undefined ? "no-such-key" : "key-unusable",': ["no-such-key", "key-unusable"],
    'ofTable ? "not-owner" : "foreign-owner",': ["not-owner", "foreign-owner"],
  };
  const folder = join(ROOT, "src/plan/refusals");
  const files = [
    ...readdirSync(folder).map((name) => join(folder, name)),
    ...[
      "src/plan/bounds.ts",
      "src/plan/free-space.ts",
      "src/plan/grants.ts",
      "src/plan/wal-grants.ts",
      "src/pg/pooler.ts",
      "src/pg/standby.ts",
      "src/sync/store.ts",
    ].map((name) => join(ROOT, name)),
  ];
  const codes = files.flatMap((file) => {
    const text = readFileSync(file, "utf8");
    const assigned = [...text.matchAll(/^\s+code: (.+)$/gm)].flatMap(([, value = ""]) => {
      const literal = /^"([a-z-]+)",$/.exec(value)?.[1];
      const known = literal === undefined ? COMPUTED[value] : [literal];
      if (known === undefined) throw new Error(`${file}: what codes can this be: ${value}`);
      return known;
    });
    const called = [...text.matchAll(/missing\(\s*"([a-z-]+)"/g)].map((match) => match[1] ?? "");
    return [...assigned, ...called];
  });
  const warnings = new Set(["disk-nearly-full"]);
  return [...new Set(codes.filter((code) => !warnings.has(code)))].toSorted();
}

describe("the configuration file in README", () => {
  const dir = mkdtempSync(join(tmpdir(), "partway-config-"));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  test("is accepted for each of its tables", async () => {
    const blocks = scenesOf("README.md").flatMap((scene) =>
      scene.blocks.filter(({ kind }) => kind === "json"),
    );
    expect(blocks).toHaveLength(1);
    writeFileSync(join(dir, "partway.config.json"), blocks.flatMap(({ lines }) => lines).join("\n"));
    const { config, file } = await loadConfig({ cwd: dir });
    expect(file).not.toBeNull();
    const tables = Object.keys(config.tables);
    expect(tables).toHaveLength(3);
    for (const table of tables) {
      const entry = configFor(config, table);
      expect(parseRequest(table, entry).table).toBe(table);
      expect(parseSettings(entry).workers).toBe(4);
    }
  });
});

describe("the page about the service names", () => {
  test.each(
    scenesOf("runbooks/service.md").flatMap(({ blocks }) => blocks.filter(({ kind }) => kind === "json")),
  )("a schedule that is one, line $at", ({ lines }) => {
    const { serve } = configSchema.parse(JSON.parse(lines.join("\n")));
    const { kept } = newToken("ops", "write");
    const { jobs } = serveSettings({ ...serve, tokens: [kept] }, {}, {});
    expect(jobs.map(({ name }) => name)).toEqual(Object.keys(serve?.schedule ?? {}));
    expect(jobs.length).toBeGreaterThan(0);
  });

  test("every refusal with its status", () => {
    const rows = tableOf("runbooks/service.md", "status").flatMap(([status, codes = ""]) =>
      codeSpans(codes).map((code) => [code, Number(status)]),
    );
    expect(Object.fromEntries(rows)).toEqual(REFUSALS);
  });
});

test("every key of the service stands in README", () => {
  const section = read("README.md").split("The file's `serve`:")[1]?.split("Without `schedule`")[0] ?? "";
  expect(codeSpans(section)).toEqual(expect.arrayContaining(Object.keys(serveSchema.shape)));
});

/** The anchor that GitHub gives a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(/\s/g, "-");

test.each([...PAGES, "ARCHITECTURE.md", "CHANGELOG.md"])("every link of %s leads somewhere", (page) => {
  const links = [...read(page).matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? "");
  for (const link of links.filter((one) => !/^https?:/.test(one))) {
    const [path = "", anchor] = link.split("#");
    const file = path === "" ? page : join(dirname(page), path);
    expect(existsSync(join(ROOT, file)), `${page}: ${link}`).toBe(true);
    if (anchor === undefined) continue;
    const headings = [...read(file).matchAll(/^#+ (.+)$/gm)].map((match) => anchorOf(match[1] ?? ""));
    expect(headings, `${page}: ${link}`).toContain(anchor);
  }
});

test("every runbook is listed in README", () => {
  const readme = read("README.md");
  for (const page of PAGES.filter((one) => one.startsWith("runbooks/")))
    expect(readme).toContain(`(${page})`);
});

test("nothing but npm is typed outside a scene, where the commands are not run", () => {
  const outside = PAGES.flatMap(scenesOf).filter(({ name }) => name === null);
  const typed = outside.flatMap(({ blocks }) =>
    blocks.filter(({ kind }) => kind === "sh" || kind === "sql").flatMap(({ lines }) => lines),
  );
  expect(typed.filter((line) => !/^(npm|partway --version)/.test(line))).toEqual([]);
});

/**
 * What an operator would lose: a page that says "type this" at three in the morning, and the command is not there,
 * ends with another exit code, or says something else. Every `sh` and `sql` block of README and runbooks is typed here,
 * in order, into the scene that the page names in a comment, as the owner of the table who is not a superuser.
 *
 * What a page says is what is checked: `# exit code N` after a command (else 0), each line of the `text` block that
 * follows it (numbers, times and names of this test's database aside), `-- gives nothing` after a query.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { asAdmin } from "../support/database.js";
import { type Installed, install, tsc, type } from "./installed.js";
import { type Block, PAGES, scenesOf } from "./markdown.js";
import { type Place, setScene } from "./scenes.js";

/** pg_dump must be as new as the server; the machine's own may be 15, so that page is run there. */
const REHEARSAL = "runbooks/staging-rehearsal.md";
const version = inject("server").version;

let installed: Installed;
beforeAll(() => {
  installed = install(version === "18");
});
afterAll(() => installed.remove());

/** What the pages write, and what it is in this scene. */
function names(place: Place): [page: string, here: string][] {
  const { host } = new URL(place.url);
  return [
    ["postgres://shop_owner@db.example.com/shop", place.url],
    ["postgres://shop_owner@staging.example.com/shop", place.stagingUrl ?? "(no staging here)"],
    ["db.example.com:5432/shop", `${host}/${place.db.name}`],
    ["DATABASE shop", `DATABASE ${place.db.name}`],
    ["shop_owner", place.role],
    ["orders_3f9a1c", place.id() ?? "orders_3f9a1c"],
    ...(place.pid === null ? [] : [["<pid>", String(place.pid)] satisfies [string, string]]),
  ];
}

const here = (text: string, place: Place): string =>
  names(place).reduce((all, [page, real]) => all.replaceAll(page, real), text);

/** A line without what differs from run to run: names of this database, times, numbers. */
const plain = (line: string, place: Place): string =>
  names(place)
    .reduce((all, [page, real]) => all.replaceAll(real, page), line)
    .replace(/^\s*\d{4}-\S+Z /, "")
    .replaceAll("hash -", "hash ")
    .replaceAll("<pid>", "0")
    .replaceAll(/\d[\d,.]*/g, "0")
    .replaceAll(/\s+/g, " ")
    .trim();

async function typeShell(block: Block, place: Place, env: Record<string, string>): Promise<string> {
  let all = "";
  for (const line of block.lines.filter((text) => text.trim() !== "")) {
    const command = here(line.trim(), place);
    const setting = /^export (\w+)=(\S+)$/.exec(command);
    if (setting !== null) {
      env[setting[1] ?? ""] = setting[2] ?? "";
      continue;
    }
    // At a terminal `run` asks; here nobody can answer.
    const answered = /^partway run (?!.*--yes)/.test(command)
      ? command.replace("partway run", "partway run --yes")
      : command;
    const interruptAt = /# .*Ctrl-C/.test(command) ? /window: / : undefined;
    const { code, output } = await type(answered, { cwd: place.dir, env, interruptAt });
    const promised = Number(
      /#.* exit code (\d)|: exit code (\d)$/.exec(command)?.slice(1).find(Boolean) ?? 0,
    );
    expect(code, `${line}\n${output}`).toBe(promised);
    all += output;
  }
  return all;
}

async function typeSql(block: Block, place: Place): Promise<void> {
  const url = block.notes.includes("as superuser") ? place.db.superuserUrl : place.url;
  const text = here(block.lines.join("\n"), place);
  await asAdmin(new URL(place.stagingUrl ?? url).href, async (session) => {
    for (const [, statement = "", note = ""] of text.matchAll(/([^;]+);(?:[ \t]*-- (.+))?/g)) {
      const { rows } = await session.query(statement);
      if (note === "gives nothing") expect(rows, statement).toEqual([]);
      else if (note === "run what it prints") {
        expect(rows.length, statement).toBeGreaterThan(0);
        for (const row of rows) await session.query(String(Object.values(row)[0]));
      }
    }
  });
}

/** Is there a pg_dump for this server? */
function canDump(): boolean {
  try {
    return execFileSync("pg_dump", ["--version"], { encoding: "utf8" }).includes(` ${version}.`);
  } catch (error) {
    expect(error).toMatchObject({ code: "ENOENT" });
    return false;
  }
}

const pages = version === "18" ? PAGES.filter((page) => page !== REHEARSAL) : [REHEARSAL];

describe.each(pages)("%s", (page) => {
  const scenes = scenesOf(page).filter(({ name }) => name !== null);
  // Side by side: most of the time is a command starting, and every scene has a database of its own.
  test.concurrent.for(scenes.map((scene, at) => ({ ...scene, at: at + 1 })))(
    "scene $at, $name: every command does what the page says",
    async ({ name, blocks }, { skip }) => {
      if (blocks.some(({ notes }) => notes.includes("needs pg_dump")) && !canDump()) skip();
      const place = await setScene(name ?? "");
      const path = `${installed.bin}:${process.env["PATH"] ?? ""}`;
      const env = { PATH: path, HOME: place.dir, TERM: "dumb", DATABASE_URL: place.url };
      try {
        let output: string | null = null;
        for (const block of blocks) {
          if (block.kind === "sh") output = await typeShell(block, place, env);
          else if (block.kind === "sql") await typeSql(block, place);
          else if (block.kind === "text") {
            expect(output, `${page}:${block.at}: output of nothing`).not.toBeNull();
            const said = (output ?? "").split("\n").map((line) => plain(line, place));
            for (const line of block.lines) {
              const wanted = plain(line, place);
              const found = said.some((actual) => actual.includes(wanted));
              expect(found, `${page}:${block.at}: "${wanted}" is not in\n${said.join("\n")}`).toBe(true);
            }
          }
        }
      } finally {
        await place.remove();
      }
    },
  );
});

test.runIf(version === "18")("the program in README compiles against the package and runs", async () => {
  const blocks = scenesOf("README.md").flatMap((scene) => scene.blocks.filter(({ kind }) => kind === "ts"));
  expect(blocks).toHaveLength(1);
  const source = blocks.flatMap(({ lines }) => lines).join("\n");
  const { dir } = installed;
  writeFileSync(join(dir, "example.mts"), source);
  // What is left after the types are gone is the same text: the page uses none.
  writeFileSync(join(dir, "example.mjs"), source);
  const options = { extends: join(import.meta.dirname, "../../tsconfig.json"), include: ["example.mts"] };
  writeFileSync(
    join(dir, "tsconfig.json"),
    JSON.stringify({ ...options, compilerOptions: { rootDir: "." } }),
  );
  tsc(dir, "tsconfig.json");
  const place = await setScene("table-with-rights");
  try {
    const env = { PATH: process.env["PATH"] ?? "", HOME: place.dir, DATABASE_URL: place.url };
    const { code, output } = await type(`node '${join(dir, "example.mjs")}'`, { cwd: place.dir, env });
    expect(output).toMatch(/^orders_\w+ ready-for-cutover 0/m);
    expect(code).toBe(0);
  } finally {
    await place.remove();
  }
});

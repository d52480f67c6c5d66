/** `partway demo`: what a newcomer runs first. It must prove what it says, and leave nothing behind. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { demo } from "../../src/demo/demo.js";
import { asAdmin } from "../support/database.js";
import { packageOf } from "../support/versions.js";

const packageName = packageOf(inject("server").version);
const QUIET = { rows: 3_000, interrupt: false, rollback: false, keep: false, packageName };

test("killed, resumed and rolled back, the demo would lose a row or not say so", async () => {
  const said: string[] = [];
  const code = await demo({
    ...QUIET,
    rows: 60_000,
    interrupt: true,
    rollback: true,
    say: (line) => {
      said.push(line);
    },
  });
  const text = said.join("\n");
  expect(code, text).toBe(0);
  expect(text).toContain("*** SIGKILL in the middle of the copy ***");
  for (const when of [
    "after cutover (orders is partitioned)",
    "after rollback (orders is not partitioned)",
  ]) {
    const proof = text.split(`Proof ${when}`)[1] ?? "";
    expect(proof).toMatch(/ledger equals table {3}yes\n {2}lost 0, extra 0, changed 0\n/);
    expect(proof).toMatch(/lock held +\d+ ms\n {2}longest writer stall +\d+ ms/);
  }
});

test("a row that was lost would still be a proof", async () => {
  const said: string[] = [];
  let url = "";
  let tampered: Promise<unknown> = Promise.resolve();
  const code = await demo({
    ...QUIET,
    onServer: (at) => {
      url = at;
    },
    say: (line) => {
      said.push(line);
      if (line.includes("the application goes on writing"))
        tampered = asAdmin(url, (admin) =>
          admin.query(`DELETE FROM public.orders WHERE id IN (SELECT min(id) FROM public.orders)`),
        );
    },
  });
  await tampered;
  expect(code).toBe(1);
  expect(said.join("\n")).toMatch(/ledger equals table {3}NO\n {2}lost 1, /);
});

let temporary: string;
beforeEach(() => {
  temporary = mkdtempSync(join(tmpdir(), "partway-demo-test-"));
  chmodSync(temporary, 0o777);
});
afterEach(() => rmSync(temporary, { recursive: true, force: true }));

/** The demo as typed, in a process group of its own as a terminal gives it, with its temporary files apart. */
function typed(args: string[], user: string): ChildProcess {
  const id = (flag: string) => Number(execFileSync("id", [flag, user]).toString());
  const as = user === "itself" ? {} : { uid: id("-u"), gid: id("-g") };
  return spawn(process.execPath, ["--import", "tsx", "src/cli.ts", "demo", "--rows", "3000", ...args], {
    ...as,
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, TMPDIR: temporary, HOME: temporary, NODE_OPTIONS: "" },
  });
}

/** Processes whose command line names the demo's temporary directory: the server, the migration. */
function left(): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      } catch (error) {
        return String(error).includes("ENOENT") || String(error).includes("ESRCH") ? "" : String(error);
      }
    })
    .filter((line) => line.includes(temporary));
}

const files = () => readdirSync(temporary).filter((name) => name.startsWith("partway-"));

const code = (child: ChildProcess) =>
  new Promise<number | null>((resolve) => {
    child.once("exit", resolve);
  });

const linux = process.platform === "linux";
const moments = ["making orders", "shadow    done", "the application goes on writing", "kept until Ctrl-C"];

test.runIf(linux).each(moments)(
  'Ctrl-C at "%s" would leave a server, a port or files behind',
  async (moment) => {
    const child = typed(["--keep"], "itself");
    const ended = code(child);
    if (child.stdout === null || child.pid === undefined) throw new Error("not started");
    const group = -child.pid;
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.includes(moment)) process.kill(group, "SIGINT");
    });
    expect(await ended).toBe(moment.startsWith("kept") ? 0 : 5);
    expect(left()).toEqual([]);
    expect(files()).toEqual([]);
  },
);

const isRoot = process.getuid?.() === 0;
test.runIf(linux && isRoot)("an ordinary user could not run the demo", async () => {
  const child = typed([], "nobody");
  child.stdout?.resume();
  expect(await code(child)).toBe(0);
  expect(left()).toEqual([]);
  expect(files()).toEqual([]);
});

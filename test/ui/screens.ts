/**
 * `npm run screens`: a real migration under a live application, in tmux at 80x24 and 160x50, and what its screen shows
 * in each phase. Driven by keys alone. `-- --rows 1000000 --months 24 --sizes 80x24,160x50 --out <dir>`
 * `npm run picture`: the same as one moving picture, the one in README; `--picture <file.svg>`.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startEmbedded } from "../../src/demo/server.js";
import { createOrders, startWriter } from "../../src/demo/writer.js";
import { resolveTarget } from "../../src/pg/resolve.js";
import { Session } from "../../src/pg/session.js";
import { type Frame, toSvg } from "./svg.js";

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "1000000" },
    months: { type: "string", default: "24" },
    sizes: { type: "string", default: "80x24,160x50" },
    out: { type: "string", default: join(tmpdir(), "partway-screens") },
    picture: { type: "string" },
    /** More environment for the run: `NO_COLOR=1`. */
    env: { type: "string", multiple: true, default: [] },
  },
});

const ROOT = resolve(import.meta.dirname, "../..");
const TABLE = { schema: "public", name: "orders" };
const PATIENCE_MS = 4 * 60_000;

/** A terminal nobody sits at. */
class Terminal {
  readonly #name: string;

  constructor(name: string, size: string, command: string) {
    this.#name = name;
    const [columns, rows] = size.split("x");
    this.#tmux("new-session", "-d", "-s", name, "-x", columns ?? "80", "-y", rows ?? "24", command);
    this.#tmux("set-option", "-t", name, "remain-on-exit", "on");
  }

  #tmux(...args: string[]): string {
    return execFileSync("tmux", ["-u", ...args], { encoding: "utf8" });
  }

  text(escapes = false): string {
    return this.#tmux("capture-pane", "-p", ...(escapes ? ["-e"] : []), "-t", this.#name);
  }

  keys(...keys: string[]): void {
    this.#tmux("send-keys", "-t", this.#name, ...keys);
  }

  /** The screen, once it shows what `pattern` says. Errors: what it showed instead. */
  async until(pattern: RegExp): Promise<string> {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(100)) {
      const text = this.text();
      if (pattern.test(text)) return text;
      if (/Pane is dead/.test(text)) break;
    }
    throw new Error(`the screen never showed ${pattern}:\n${this.text()}`);
  }

  close(): void {
    this.#tmux("kill-session", "-t", this.#name);
  }
}

/** What the picture shows, and for how long. */
const SECONDS: Record<string, number> = {
  copy: 4,
  index: 4,
  validate: 3,
  ready: 4,
  cutover: 4,
  window: 5,
  "rolled-back": 6,
};

async function capture(size: string, out: string): Promise<Frame[]> {
  const frames: Frame[] = [];
  const server = await startEmbedded();
  const state = mkdtempSync(join(tmpdir(), "partway-screens-"));
  const url = server.superuserUrl;
  const session = await Session.open(await resolveTarget({ url }, {}));
  const writer = await prepared(session, url);
  const env = ["LANG=C.UTF-8", "TERM=xterm-256color", ...values.env].join(" ");
  const command = `run orders --by created_at --every month --yes --until validate --hold --no-backup --batch-blocks 256 --workers 3`;
  const partway = (rest: string) =>
    `cd ${ROOT} && env -u CI -u CONTINUOUS_INTEGRATION ${env} npx tsx src/cli.ts ${rest} --url '${url}' --state ${state}`;
  const terminal = new Terminal(`partway-screens-${size}-${process.pid}`, size, partway(command));
  const keep = (name: string, text = terminal.text()) => {
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, `${name}.txt`), text);
    const ansi = terminal.text(true);
    writeFileSync(join(out, `${name}.ansi`), ansi);
    frames.push({ text: ansi.trimEnd(), seconds: SECONDS[name] ?? 0 });
    process.stdout.write(`${"=".repeat(20)} ${size} ${name}\n${text}\n`);
  };
  try {
    keep("copy", await terminal.until(/copy +running[\s\S]* [3-6]\d%/));
    await terminal.until(/index +running[\s\S]* [2-6]\d%/);
    terminal.keys("Right", "Right", "Right");
    keep("index", await terminal.until(/index +running[\s\S]*FROM \(/));
    terminal.keys("Escape");
    // On a quick machine these are over before anybody looks.
    const passing = async (name: string, now: RegExp, past: RegExp) => {
      const text = await terminal.until(new RegExp(`${now.source}|${past.source}`));
      if (now.test(text)) keep(name, text);
    };
    await passing(
      "statistics",
      /index +running[\s\S]*(freezing|catching)/,
      /(validate +(running|done)|cut over now)/,
    );
    await passing("validate", /validate +running[\s\S]* [2-9]\d%/, /cut over now/);
    keep("ready", await terminal.until(/cut over now/));
    terminal.keys("?");
    keep("help", await terminal.until(/close help/));
    terminal.keys("?");
    await terminal.until(/cut over now.*[?] help/);
    // Somebody reads and does not commit.
    await session.begin();
    await session.query("SELECT FROM public.orders LIMIT 1");
    terminal.keys("c");
    keep("cutover", await terminal.until(/Waiting for/));
    await session.rollback();
    await terminal.until(/retain +running/);
    keep("window", await terminal.until(/on disk/));
    terminal.keys("l");
    keep("log", await terminal.until(/^(?![\s\S]*waiting)[\s\S]*The application is on the new table; locks/));
    // One at a time: keys that arrive in one read of the terminal are none of them.
    terminal.keys("l");
    await terminal.until(/retain +running/);
    terminal.keys("r");
    await terminal.until(/press Enter/);
    terminal.keys("public.orders");
    await terminal.until(/> public.orders/);
    terminal.keys("Enter");
    keep("rollback", await terminal.until(/rollback +(running|done)/));
    keep("rolled-back", await terminal.until(/Rolled back/));
  } catch (error) {
    keep("failed");
    throw error;
  } finally {
    terminal.close();
    await writer.stop();
    await session.end();
    await server.stop();
    rmSync(state, { recursive: true });
  }
  return frames.filter(({ seconds }) => seconds > 0);
}

async function prepared(session: Session, url: string) {
  await createOrders(session, { ...TABLE, rows: Number(values.rows), months: Number(values.months) });
  return startWriter({ url, table: TABLE, clients: 3, statementsPerSecond: 200, seed: 7 });
}

for (const size of values.sizes.split(",")) {
  const frames = await capture(size, join(resolve(values.out), size));
  const [columns = 80, rows = 24] = size.split("x").map(Number);
  const title = "partway run orders --by created_at --every month, then c and r";
  if (values.picture !== undefined) writeFileSync(values.picture, toSvg(frames, { columns, rows }, title));
}

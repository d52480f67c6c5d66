/** The screen on a real terminal: tmux types the keys and reads what is drawn. */
import { execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { createOrders } from "../../src/demo/writer.js";
import { bundleCli } from "../support/bundle.js";
import { freshDatabase, type TestDatabase } from "../support/database.js";
import { type Folder, freshFolder } from "./support.js";

const hasTmux = spawnSync("tmux", ["-V"]).status === 0;

describe.skipIf(!hasTmux)("at a terminal (skipped where tmux is not installed)", () => {
  let built: ReturnType<typeof bundleCli>;
  let db: TestDatabase;
  let folder: Folder;
  let socket: string;

  const tmux = (...args: string[]) => execFileSync("tmux", ["-L", socket, ...args], { encoding: "utf8" });
  const type = (...keys: string[]) => tmux("send-keys", "-t", "s", ...keys);
  /** Waits until the terminal shows `text`; gives everything on it. */
  const shows = async (text: string | RegExp): Promise<string> => {
    await expect
      .poll(() => tmux("capture-pane", "-p", "-t", "s"), { timeout: 60_000, interval: 50 })
      .toMatch(text);
    return tmux("capture-pane", "-p", "-t", "s");
  };

  beforeAll(() => {
    built = bundleCli();
  });
  afterAll(() => built.remove());

  beforeEach(async () => {
    db = await freshDatabase();
    await createOrders(await db.session(), { schema: "public", name: "orders", rows: 1_000, months: 2 });
    folder = freshFolder(built.file, db.ownerUrl);
    socket = `partway-${randomBytes(4).toString("hex")}`;
    const env = {
      HOME: folder.dir,
      DATABASE_URL: db.ownerUrl,

      CI: "false",
      CONTINUOUS_INTEGRATION: "false",
    };
    tmux(
      ...["-f", "/dev/null", "new-session", "-d", "-s", "s", "-x", "100", "-y", "40", "-c", folder.dir],
      ...Object.entries(env).flatMap(([name, value]) => ["-e", `${name}=${value}`]),
      "bash --norc --noprofile",
    );
    type(`PS1='$ ' HISTFILE=; partway() { "${process.execPath}" "${built.file}" "$@"; }; clear`, "Enter");
  });
  afterEach(async () => {
    tmux("kill-server");
    await folder.remove();
    await db.drop();
  });

  const RUN = "partway run orders --by created_at --every month --ahead 1 --no-backup";

  test("keys would not do what the screen says: confirm, pause, cut over, roll back", async () => {
    type(`${RUN} --until validate; echo "exit code $?"`, "Enter");
    await shows(/Migrate public\.orders\? Type yes to begin:/);
    type("yes", "Enter");
    await shows(/c cut over now/);
    type("p");
    await shows(/p continue/);
    type("p");
    await shows(/p pause/);
    type("c");
    expect(await shows(/rollback is safe \(\d+ keys? behind\)/)).toMatch(/window +(23h 59m|24h 00m) left/);
    type("r");
    await shows(/Type public\.orders and press Enter/);
    type("public.orders");
    // A line end in the same read would count as pasted, and not confirm.
    await shows(/> public\.orders/);
    type("Enter");
    expect(await shows(/exit code 0/)).toMatch(/Rolled back: public\.orders is the old table again/);
  });

  test("q would lose the run, or the terminal would be left in a state", async () => {
    type(`${RUN} --yes; echo "exit code $?"`, "Enter");
    await shows(/retain +running[\s\S]*q quit safely/);
    type("q");
    expect(await shows(/exit code 5\n\$/)).toMatch(/next +partway resume orders_\w+/);
    type("partway status", "Enter");
    await shows(/verdict +rollback is safe/);
  });

  test("d would end the run, or leave it tied to this terminal", async () => {
    type(`${RUN} --yes; echo "exit code $?"`, "Enter");
    await shows(/retain +running[\s\S]*q quit safely/);
    type("d");
    expect(await shows(/exit code 0\n\$/)).toMatch(/goes on as process \d+, without this terminal/);
    type("clear; partway watch", "Enter");
    await shows(/rollback is safe[\s\S]*retain +running[\s\S]*q leave; the run goes on/);
    type("q");
    await shows(/^\$ *$/m);
    type("clear; partway stop", "Enter");
    await shows(/stopped by the operator during retain/);
  });

  /** The window is closed: the kernel hangs up on whatever runs in it. */
  const closeWindow = () => {
    // A second session keeps tmux's server, and afterEach has one to end.
    tmux("new-session", "-d", "-s", "other", "cat");
    tmux("kill-session", "-t", "s");
  };
  const driver = async () =>
    z.object({ driver: z.unknown() }).parse(JSON.parse((await folder.run(["status", "--json"])).stdout))
      .driver;

  test("a run told to outlive its window would end with it, or be out of reach", async () => {
    type(`${RUN} --yes --on-hangup continue`, "Enter");
    await shows(/retain +running[\s\S]*q quit safely/);
    closeWindow();
    const stopped = await folder.run(["stop"]);
    expect(stopped.stdout).toMatch(/stopped by the operator during retain/);
    await expect.poll(driver, { timeout: 20_000 }).toBeNull();
  });

  test("a window closed by mistake would leave a migration that cannot be taken up again", async () => {
    type(`${RUN} --yes`, "Enter");
    await shows(/retain +running[\s\S]*q quit safely/);
    closeWindow();
    await expect.poll(driver, { timeout: 20_000 }).toBeNull();
    expect(await folder.run(["rollback"])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("is the old table again"),
    });
  });

  test.each(["C-c", "C-d"])("%s at the question would begin, or leave traces", async (key) => {
    type(`${RUN}; echo "exit code $?"; ls -A`, "Enter");
    await shows(/Type yes to begin:/);
    type(key);
    expect(await shows(/exit code 5\n\$/)).toContain("not confirmed");
  });
});

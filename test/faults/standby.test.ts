/** The primary dies and its standby is promoted (synchronous replication: what was acknowledged is there). */
import { describe, expect, inject, test } from "vitest";
import { leafObjects, objectsOf } from "../cli/scene.js";
import { jsonLines } from "../cli/support.js";
import { asAdmin } from "../support/database.js";
import { startOwnServer } from "../support/server.js";
import { WAY, WINDOW } from "./faults.js";
import { HOLD, openScene, RESUME, RUN } from "./scene.js";
import { startStandby } from "./standby.js";

describe.skipIf(process.env["PARTWAY_FAULTS"] !== "all")("promotion (only with PARTWAY_FAULTS=all)", () => {
  test.each([
    ["mid-copy, through the same address", WAY["copy, before a batch's commit"], RUN, "same address"],
    ["in the window, by --url", WINDOW["window, before an apply's commit"], HOLD, "url"],
  ] as const)(
    "a standby promoted %s would lose a write or not be taken for the same database",
    async (_what, moment, first, how) => {
      const server = await startOwnServer(inject("server").version);
      const scene = await openScene(server, { rows: 12_000 });
      const standby = await startStandby(server);
      try {
        const there = standby.url(scene.db.ownerUrl);
        const again = [...RESUME, "--url", there];
        if (first === HOLD) {
          scene.start(RUN);
          expect(await scene.finish()).toMatchObject({ outcome: "retained" });
        }
        scene.start(first);
        await scene.strike(moment, async () => {
          await server.kill();
          if (how === "url") {
            scene.process().child.kill("SIGKILL");
            await scene.process().ended;
            // Before its promotion it must be told from a primary.
            const early = await scene.start(again).ended;
            expect(jsonLines(early.stdout).at(-1)).toMatchObject({
              event: "error",
              what: expect.stringMatching(/the server takes no writes, as a standby does/),
              next: expect.stringMatching(/partway resume orders_.* --url/),
            });
          }
          await standby.promote();
          scene.theirs.lead(there);
          if (how === "same address") scene.network.lead(there);
          return "cut-all";
        });
        scene.network.flow();
        if (how === "url") {
          scene.start(again);
        }
        expect(await scene.finish(again)).toMatchObject({ outcome: "retained" });
        scene.start(["finalize", "--force", "orders", "--json", "--url", there]);
        expect(await scene.finish(again)).toMatchObject({ outcome: "done" });
        await scene.proveNothingLost([], standby.url(scene.db.superuserUrl));
        const session = await scene.db.session(standby.url(scene.db.superuserUrl));
        expect(await objectsOf(session)).toEqual(
          ["S orders_id_seq", "p orders", ...(await leafObjects(session))].sort(),
        );
        await session.end();
      } finally {
        await server.restart();
        // Nobody follows it any more: it must not wait for that.
        await asAdmin(server.superuserUrl, async (admin) => {
          await admin.query("ALTER SYSTEM RESET synchronous_standby_names");
          await admin.query("SELECT pg_reload_conf()");
        });
        await scene.close();
        await standby.stop();
        await server.stop();
      }
    },
  );
});

/** A fault of server or network in every phase, each met once in a journey. The whole matrix: matrix.test.ts. */
import { expect } from "vitest";
import {
  cancel,
  cut,
  freeze,
  HOLDER,
  restart,
  silentInLock,
  terminate,
  terminateOther,
  vanish,
} from "./faults.js";
import { journey } from "./journey.js";

journey(
  {
    way: [
      ["backup, reading", "the server crashes", restart],
      ["shadow, before its commit", "the server crashes", restart],
      ["shadow, after its commit", "the answer is lost", cut],
      ["copy, in the lock of the triggers", "the orchestrator stands still", freeze],
      ["copy, before a batch's commit", "the COMMIT is lost and the backend lives on", vanish],
      ["copy, after a batch's commit", "the answer is lost", cut],
      ["copy, before a batch's commit", "the holder of the lease is ended", (s) => terminateOther(s, HOLDER)],
      ["copy, before a batch's commit", "the worker's backend is ended", terminate],
      ["index, before a build's commit", "the server crashes", restart],
      ["index, at an ANALYZE", "the statement is cancelled", cancel],
      ["catch-up, before an apply's commit", "the server crashes", restart],
      ["validate, exporting the snapshot", "the backend is ended", terminate],
      ["validate, hashing", "the server crashes", restart],
      ["cutover, in the lock", "the orchestrator stands still", freeze],
      ["cutover, in the lock", "the network falls silent", silentInLock],
      ["cutover, before its commit", "the COMMIT is lost and the backend lives on", vanish],
      ["cutover, after its commit", "the server crashes", restart],
    ],
    window: [
      ["window, before an apply's commit", "the server crashes", restart],
      ["window, after an apply's commit", "the answer is lost", cut],
      ["window, reading the verdict", "the backend is ended", terminate],
      ["window, before an apply's commit", "the statement is cancelled", cancel],
    ],
    rollback: [
      ["rollback, before its commit", "the COMMIT is lost and the backend lives on", vanish],
      ["rollback, after its commit", "the server crashes", restart],
      ["rollback, in the lock of the triggers", "the orchestrator stands still", freeze],
      ["rollback, before its last commit", "the server crashes", restart],
      ["rollback, after its last commit", "the answer is lost", cut],
    ],
    abort: [
      ["abort, before the triggers are gone", "the server crashes", restart],
      ["abort, after the shadow is gone", "the answer is lost", cut],
      ["abort, before its last commit", "the server crashes", restart],
      ["abort, after its last commit", "the answer is lost", cut],
    ],
    finalize: [
      ["finalize, after its first commit", "the server crashes", restart],
      ["finalize, before the triggers are gone", "the COMMIT is lost and the backend lives on", vanish],
      ["finalize, after the retired table is gone", "the server crashes", restart],
      ["finalize, after its last commit", "the answer is lost", cut],
    ],
  },
  () => undefined,
  (scene) => {
    expect(scene.warnings()).toContainEqual(
      expect.stringMatching(/connection to the server lost.*trying again/),
    );
    expect(scene.stops.map(({ what }) => what)).toContainEqual(
      expect.stringMatching(/somebody cancelled a statement of Partway from outside/),
    );
  },
);

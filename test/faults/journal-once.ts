/** What the server's version has no part in runs on one of them; PARTWAY_TEST_FULL=1: on each. */
import { inject } from "vitest";

/** True on the oldest server of a run. */
export const ONCE = process.env["PARTWAY_TEST_FULL"] === "1" || inject("server").version === "15";

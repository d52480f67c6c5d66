import { describe } from "vitest";
import { systemTests } from "../journey.js";
import { analytics } from "./analytics.js";

describe("Analytics-Pulse would lose events", () => {
  systemTests(analytics);
});

import { describe } from "vitest";
import { systemTests } from "../journey.js";
import { campaigns } from "./campaigns.js";

describe("the campaign SaaS would lose leads, or what its agents wrote", () => {
  systemTests(campaigns);
});

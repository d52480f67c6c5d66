import { describe } from "vitest";
import { systemTests } from "../journey.js";
import { multischema } from "./multischema.js";

describe("the multi-schema platform would lose its trail, or a key into auth.users", () => {
  systemTests(multischema);
});

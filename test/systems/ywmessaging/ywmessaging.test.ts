import { describe } from "vitest";
import { systemTests } from "../journey.js";
import { ywmessaging } from "./ywmessaging.js";

describe("YWMESSAGING would lose conversations, messages or deliveries", () => {
  systemTests(ywmessaging);
});

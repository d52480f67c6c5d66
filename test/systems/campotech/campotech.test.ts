import { describe } from "vitest";
import { systemTests } from "../journey.js";
import { campotech } from "./campotech.js";

describe("CampoTech would lose jobs, messages, positions or its audit trail", () => {
  systemTests(campotech);
});

/** Smoke checks and queries to measure, as the configuration gives them and the journal keeps them. */
import { z } from "zod";
import { qualified } from "../pg/quote.js";

export const ExpectationShape = z.union([
  z.literal("no error"),
  z.object({ rows: z.number() }),
  z.object({ atLeast: z.number() }),
  z.object({ equals: z.union([z.string(), z.number(), z.boolean(), z.null()]) }),
]);

export const SmokeCheckShape = z.object({
  name: z.string(),
  /** `{table}` stands for the table's quoted name. */
  sql: z.string(),
  expect: ExpectationShape,
  timeoutMs: z.number(),
});

export const QueryShape = z.object({ name: z.string(), sql: z.string() });

export type Expectation = z.output<typeof ExpectationShape>;
export type SmokeCheck = z.output<typeof SmokeCheckShape>;
export type Query = z.output<typeof QueryShape>;

/** The statement with `{table}` filled in, without the semicolon that EXPLAIN and a portal do not take. */
export function statementOf(sql: string, names: { schema: string; source: string }): string {
  return sql
    .replaceAll("{table}", () => qualified(names.schema, names.source))
    .trim()
    .replace(/[\s;]+$/, "");
}

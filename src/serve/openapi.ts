/** The OpenAPI document, from the shapes that the requests are checked against. Pure. */
import { z } from "zod";
import { version } from "../version.js";
import { REFUSALS } from "./refusals.js";
import { ROUTES, type Route } from "./routes.js";
import { ErrorAnswer } from "./shapes.js";

/** Refusals that every path may give, and those of paths with a body. */
const COMMON = [400, 401, 404, 405, 429, 500, 503];
const OF_WORK = [403, 409, 413, 415];

export function openApi(): object {
  const paths: Record<string, object> = {
    "/healthz": {
      get: {
        summary: "Does the process answer? No token, no database",
        security: [],
        responses: { "200": { description: "It does" } },
      },
    },
  };
  for (const [name, route] of Object.entries<Route>(ROUTES))
    paths[route.path] = { [route.method.toLowerCase()]: operation(name, route) };
  return {
    openapi: "3.1.0",
    info: {
      title: "Partway",
      version: version(),
      description: "The care of partitioned PostgreSQL tables, over HTTP",
    },
    security: [{ bearer: [] }],
    paths,
    components: {
      securitySchemes: { bearer: { type: "http", scheme: "bearer" } },
      schemas: { Error: schemaOf(ErrorAnswer, "output") },
    },
  };
}

function operation(name: string, { summary, query, body, answer }: Route): object {
  const refused = body === undefined ? COMMON : [...COMMON, ...OF_WORK];
  return {
    operationId: name,
    summary,
    ...(query === undefined ? {} : { parameters: parametersOf(query) }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: json(schemaOf(body, "input")) } }),
    responses: {
      "200": { description: "Done", content: json(schemaOf(answer, "output")) },
      ...Object.fromEntries(
        refused
          .toSorted((a, b) => a - b)
          .map((code) => [
            String(code),
            { description: codesOf(code), content: json({ $ref: "#/components/schemas/Error" }) },
          ]),
      ),
    },
  };
}

const json = (schema: object) => ({ "application/json": { schema } });

function codesOf(status: number): string {
  return Object.entries(REFUSALS)
    .flatMap(([code, of]) => (of === status ? [code] : []))
    .join(", ");
}

function parametersOf(query: z.ZodObject): object[] {
  return Object.entries(query.shape).map(([name, of]) => ({
    name,
    ...{ in: "query", required: false, schema: schemaOf(z.object({ of }), "input").properties["of"] },
  }));
}

const Object_ = z.looseObject({ properties: z.record(z.string(), z.unknown()) });

function schemaOf(schema: z.ZodType, io: "input" | "output"): z.output<typeof Object_> {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io });
  return Object_.parse(rest);
}

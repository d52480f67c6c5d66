/**
 * The published JSON schemas (draft 2020-12): `partway schema <name>` prints them, the package has them as
 * `schemas/<name>.v1.json`. Within a version fields and events may be added, so that a schema lets unknown ones pass;
 * what is there keeps its name and meaning, or the version becomes another.
 */
import { z } from "zod";
import { configSchema } from "../config/schema.js";
import { EventLine } from "./events.js";
import { LIST_ID, List, STATUS_ID, Status } from "./status.js";

export const SCHEMAS = ["status", "list", "events", "config"] as const;
export type SchemaName = (typeof SCHEMAS)[number];

const PUBLISHED: Record<SchemaName, { id: string; title: string; schema: z.ZodType }> = {
  status: { id: STATUS_ID, title: "What partway status --json prints", schema: Status },
  list: { id: LIST_ID, title: "What partway list --json prints", schema: List },
  events: {
    id: "partway/events/1",
    title: "A line of what partway run, resume, cutover, rollback, finalize and abort print with --json",
    schema: EventLine,
  },
  config: { id: "partway/config/1", title: "partway.config.json, .yaml or .toml", schema: configSchema },
};

/** The schema as a JSON value. */
export function publishedSchema(name: SchemaName): object {
  const { id, title, schema } = PUBLISHED[name];
  // "input": a configuration as it is written; and no output is closed to fields that come later.
  const { $schema, ...rest } = z.toJSONSchema(schema, { io: "input", override: plain });
  return { $schema, $id: id, title, ...rest };
}

/** As the file has it. */
export function schemaText(name: SchemaName): string {
  return `${JSON.stringify(publishedSchema(name), null, 2)}\n`;
}

/** Without what zod adds and nobody needs: bounds of JavaScript's integers, and "anything else is allowed". */
function plain({ jsonSchema }: { jsonSchema: Record<string, unknown> }): void {
  if (jsonSchema["minimum"] === Number.MIN_SAFE_INTEGER) delete jsonSchema["minimum"];
  if (jsonSchema["maximum"] === Number.MAX_SAFE_INTEGER) delete jsonSchema["maximum"];
  const more = jsonSchema["additionalProperties"];
  if (typeof more === "object" && more !== null && Object.keys(more).length === 0)
    delete jsonSchema["additionalProperties"];
}

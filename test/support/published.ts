/** Holds a value against a published JSON schema, with a validator that has nothing to do with how it was made. */
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { expect } from "vitest";
import { publishedSchema, type SchemaName } from "../../src/schema/publish.js";

const compiled = new Map<string, ValidateFunction>();

function validator(name: SchemaName, open: boolean): ValidateFunction {
  const key = `${name} ${open}`;
  const known = compiled.get(key);
  if (known !== undefined) return known;
  const schema = publishedSchema(name);
  const made = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(
    open ? schema : { ...closed(schema) },
  );
  compiled.set(key, made);
  return made;
}

/** The schema as it would be if no field could be added: what it does not name is noticed. */
function closed(schema: object): object {
  const inner = Object.entries(schema).map(([key, value]: [string, unknown]) => {
    if (Array.isArray(value)) return [key, value.map((one: unknown) => (isObject(one) ? closed(one) : one))];
    return [key, isObject(value) ? closed(value) : value];
  });
  const made: Record<string, unknown> = Object.fromEntries(inner);
  const isShape = "type" in made && made["type"] === "object" && "properties" in made;
  return isShape && !("additionalProperties" in made) ? { ...made, additionalProperties: false } : made;
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

/** The errors of `value` by the schema as it is published; none: it conforms. */
export function violations(name: SchemaName, value: unknown): string[] {
  const validate = validator(name, true);
  return validate(value) ? [] : (validate.errors ?? []).map((one) => `${one.instancePath} ${one.message}`);
}

/** Fails where `value` does not conform, and where it has a field that the schema does not name. */
export function expectConforms(name: SchemaName, value: unknown): void {
  expect(violations(name, value), JSON.stringify(value)).toEqual([]);
  expect(validator(name, false)(value), `a field that is not published: ${JSON.stringify(value)}`).toBe(true);
}

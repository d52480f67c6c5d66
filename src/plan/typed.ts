/** What a person types at a shell for a table, a column and a request: the inverse of config/request.ts. Pure. */
import { defaultTemplate } from "../config/template.js";
import { ident } from "../pg/quote.js";
import type { MigrationRequest, Scheme } from "./types.js";

/** A word that every shell takes as it is. */
const PLAIN_WORD = /^[\w.,:/=@%+-]+$/;
/** A name that PostgreSQL reads unquoted as itself. */
const PLAIN_NAME = /^[a-z_][a-z0-9_$]*$/;

/** `text` as one word of a POSIX shell. */
export function shellWord(text: string): string {
  return PLAIN_WORD.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** `schema.name` as SQL writes it, with double quotes only where they are needed. */
export function tableName(schema: string, name: string): string {
  return [schema, name].map((part) => (PLAIN_NAME.test(part) ? part : ident(part))).join(".");
}

/** The options that say how a table is cut, each with its value as one shell word. */
export function schemeOptions(scheme: Scheme): string {
  return `--by ${columnWord(scheme.column)} ${cut(scheme)}`;
}

/** The options after `partway plan <table>` or `partway run <table>` that mean `request`, defaults of names left out. */
export function requestOptions(request: MigrationRequest): string {
  const { scheme, leafTemplate, keyIndex, incomingFk, nullKeys, capture } = request;
  const ranged = scheme.kind === "range-time" || scheme.kind === "range-int";
  return [
    schemeOptions(scheme),
    ...(ranged ? [`--ahead ${request.ahead}`] : []),
    ...(leafTemplate === defaultTemplate(scheme) ? [] : [`--leaf ${shellWord(leafTemplate)}`]),
    `--keep ${durationText(request.keepSeconds)}`,
    ...(keyIndex === null ? [] : [`--key ${columnWord(keyIndex)}`]),
    ...(incomingFk === undefined ? [] : [`--incoming-fk ${incomingFk}`]),
    ...(nullKeys === undefined ? [] : [`--null-keys ${nullKeys}`]),
    ...(capture === undefined ? [] : [`--capture ${capture}`]),
  ].join(" ");
}

/** Seconds as `--keep` takes them: `24h`, `3d`, `90s`. */
export function durationText(seconds: number): string {
  if (seconds % 86_400 === 0 && seconds > 86_400) return `${seconds / 86_400}d`;
  if (seconds % 3_600 === 0 && seconds > 0) return `${seconds / 3_600}h`;
  return `${seconds}s`;
}

/** A name with its own quotes or outer spaces would be read as something else (config/request.ts unquotes). */
function columnWord(name: string): string {
  return shellWord(name !== name.trim() || name.includes('"') ? ident(name) : name);
}

function cut(scheme: Scheme): string {
  switch (scheme.kind) {
    case "range-time":
      return `--every ${scheme.every}`;
    case "range-int":
      return `--step ${scheme.step}`;
    case "hash":
      return `--hash ${scheme.modulus}`;
    case "list":
      return `--list ${shellWord(scheme.values.map(listWord).join(","))}`;
  }
}

function listWord(value: string): string {
  return /[",]|^\s|\s$|^$/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

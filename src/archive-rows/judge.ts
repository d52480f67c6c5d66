/** What stands against moving rows into the archive, or is to be asked first. Pure. */
import { ident, qualified } from "../pg/quote.js";
import type { Column, Part, Relation } from "./facts.js";

export const ALLOWABLE = ["generated", "identity", "cascade", "triggers", "published"] as const;
export type Allowable = (typeof ALLOWABLE)[number];

export interface ArchiveFinding {
  /** What `--allow` takes; null: it cannot be allowed. */
  allow: Allowable | null;
  /** What would happen, one sentence. */
  what: string;
  /** The statement or option that mends it. */
  next: string;
}

const hard = (what: string, next: string): ArchiveFinding => ({ allow: null, what, next });

/** `archive`: null where it is still to be made. */
export function archiveFindings(
  source: Relation,
  archive: Relation | null,
  parts: readonly Part[],
): ArchiveFinding[] {
  const asked = (
    allow: Allowable,
    names: readonly string[],
    what: (list: string) => string,
  ): ArchiveFinding[] =>
    names.length === 0 ? [] : [{ allow, what: what(names.join(", ")), next: `--allow ${allow}` }];
  const foreign = parts.filter(({ kind }) => kind !== "r");
  return [
    ...(["r", "p"].includes(source.kind)
      ? []
      : [hard(`${shown(source)} is no table that holds rows`, "Name a table.")]),
    ...foreign.map((one) =>
      hard(`${shown(one)} is a foreign table: its rows cannot be moved in one statement`, "Detach it first."),
    ),
    ...source.rules.map((rule) =>
      hard(`rule ${rule} would rewrite the DELETE`, `DROP RULE ${ident(rule)} ON ${shown(source)};`),
    ),
    ...(archive === null ? [] : unfit(source, archive)),
    ...asked(
      "generated",
      source.columns.filter((one) => one.generated).map(({ name }) => name),
      (list) => `generated columns become plain ones in the archive, with the values they have: ${list}`,
    ),
    ...asked(
      "identity",
      source.columns.filter((one) => one.identity).map(({ name }) => name),
      (list) => `identity columns become plain ones in the archive, with the values they have: ${list}`,
    ),
    ...asked(
      "cascade",
      source.cascades,
      (list) =>
        `foreign keys would delete or change rows of other tables with each row that is moved: ${list}`,
    ),
    ...asked(
      "triggers",
      [...source.deleteTriggers, ...(archive?.insertTriggers ?? [])],
      (list) => `triggers would fire for each row that is moved, as for a deleted one: ${list}`,
    ),
    ...asked(
      "published",
      source.publications,
      (list) =>
        `subscribers would delete the rows, and have an archive only if they make one: publication ${list}`,
    ),
  ];
}

/** What keeps the archive from taking the rows whole, or from keeping them. */
function unfit(source: Relation, archive: Relation): ArchiveFinding[] {
  const where = shown(archive);
  if (archive.kind !== "r" && archive.kind !== "p")
    return [hard(`${where} is there, and is no table`, "Choose another name: --into <table>.")];
  if (archive.oid === source.oid)
    return [hard("the archive would be the table itself", "Choose another name: --into <table>.")];
  return [
    ...archive.rules.map((rule) =>
      hard(`rule ${rule} of ${where} would rewrite the INSERT`, `DROP RULE ${ident(rule)} ON ${where};`),
    ),
    ...fleeting(source, archive),
    ...differences(source, archive),
  ];
}

/** Rows that outlive a crash here would not there. */
function fleeting(source: Relation, archive: Relation): ArchiveFinding[] {
  const where = shown(archive);
  if (archive.persistence.includes("t"))
    return [hard(`${where} is temporary`, "Choose another name: --into <table>.")];
  return archive.persistence.includes("u") && source.persistence.includes("p")
    ? [hard(`${where} is unlogged: a crash would empty it`, `ALTER TABLE ${where} SET LOGGED;`)]
    : [];
}

function differences(source: Relation, archive: Relation): ArchiveFinding[] {
  const where = shown(archive);
  return source.columns.flatMap((column): ArchiveFinding[] => {
    const there = archive.columns.find(({ name }) => name === column.name);
    const name = ident(column.name);
    if (there === undefined)
      return [
        hard(
          `${where} has no column ${column.name}`,
          `ALTER TABLE ${where} ADD COLUMN ${name} ${column.type};`,
        ),
      ];
    if (there.generated)
      return [
        hard(
          `column ${column.name} of ${where} is generated: it takes no value`,
          `ALTER TABLE ${where} ALTER COLUMN ${name} DROP EXPRESSION;`,
        ),
      ];
    return isSame(column, there)
      ? []
      : [
          hard(
            `column ${column.name} is ${typeOf(column)} in the table and ${typeOf(there)} in ${where}`,
            `ALTER TABLE ${where} ALTER COLUMN ${name} TYPE ${typeOf(column)};`,
          ),
        ];
  });
}

function isSame(a: Column, b: Column): boolean {
  return a.type === b.type && a.collation === b.collation;
}

function typeOf({ type, collation }: Column): string {
  return collation === null || collation === '"default"' ? type : `${type} COLLATE ${collation}`;
}

export function shown({ schema, name }: { schema: string; name: string }): string {
  return qualified(schema, name);
}

/** `partway archive-rows`: old rows go into an archive table, in batches. Part of the programmatic interface. */
import { z } from "zod";
import { type ConnectOptions, targetOf, withSession } from "./api.js";
import { type Part, type Relation, readParts, readRelation, readView } from "./archive-rows/facts.js";
import {
  ALLOWABLE,
  type Allowable,
  type ArchiveFinding,
  archiveFindings,
  shown,
} from "./archive-rows/judge.js";
import { countOld, moveRows } from "./archive-rows/move.js";
import { readDefaultGrantees } from "./catalog/grants.js";
import { resolveTable } from "./catalog/resolve.js";
import { parseMilliseconds } from "./config/duration.js";
import { parseTableName } from "./config/table-name.js";
import { explainUntouched } from "./engine/faults.js";
import { badInput, messageOf, PartwayError } from "./errors.js";
import { ident, identList, qualified } from "./pg/quote.js";
import type { Session } from "./pg/session.js";

export interface ArchiveRowsOptions extends ConnectOptions {
  table: string;
  /** Rows below this are old: a date, a time, a number, as the column's type reads it. */
  before: string;
  /** The column; left out: the one column that the table is partitioned by. */
  by?: string | undefined;
  /** The archive table; default `<table>_archive` in the same schema. */
  into?: string | undefined;
  /** Indexes of an archive that is made: columns with commas; `like` for those of the table. */
  index?: readonly string[] | undefined;
  /** A view of the table and the archive together. */
  view?: string | undefined;
  /** What is asked first: see ALLOWABLE. */
  allow?: readonly string[] | undefined;
  /** Rows a batch; default 5000. */
  batch?: string | undefined;
  /** Between two batches. */
  pause?: string | undefined;
  /** Do it. Without it the rows are counted. */
  apply?: boolean | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: ArchiveProgress) => void) | undefined;
}

export interface ArchiveProgress {
  moved: number;
  /** Old rows counted at the beginning. */
  total: number;
  perSecond: number;
}

export interface ArchiveRowsReport {
  /** Quoted names. */
  table: string;
  archive: string;
  /** The view, where one was asked for. */
  view: string | null;
  column: string;
  /** As the column's type prints it. */
  before: string;
  /** Old rows at the beginning. */
  total: number;
  moved: number;
  /** What is made, in order; with `apply` it was. */
  statements: string[];
  findings: (ArchiveFinding & { allowed: boolean })[];
  /** `apply`, and nothing is left; false after a stop, and in a dry run. */
  done: boolean;
}

/** Errors: bad-input; `refused` by findings that are not allowed; `lock-busy`. A stop leaves whole batches. */
export async function archiveRows(options: ArchiveRowsOptions): Promise<ArchiveRowsReport> {
  const batch = batchOf(options.batch);
  const pauseMs = options.pause === undefined ? 0 : parseMilliseconds(options.pause, "--pause");
  const allowed = allowedOf(options.allow ?? []);
  const { signal = new AbortController().signal, apply = false } = options;
  const target = await targetOf(options);
  let begun = false;
  try {
    return await withSession(target, async (session) => {
      const scene = await sceneOf(session, options);
      const { source, archive, parts, column, before } = scene;
      const findings = archiveFindings(source, archive, parts).map((one) => ({
        ...one,
        allowed: one.allow !== null && allowed.includes(one.allow),
      }));
      const total = await countOld(session, source, column, before);
      const report: ArchiveRowsReport = {
        ...{ table: shown(source), archive: scene.archiveName, view: scene.viewName, column, before },
        ...{ total, moved: 0, statements: scene.statements, findings, done: false },
      };
      if (!apply) return report;
      const against = findings.filter((one) => !one.allowed);
      if (against.length > 0) throw refused(report.table, against);
      begun = true;
      if (scene.statements.length > 0)
        await session.tx(async () => {
          for (const sql of scene.statements) await session.query(sql);
        });
      const started = performance.now();
      const moved = await moveRows(session, {
        ...{ source, archive: scene.archiveName, parts, column, before, batch, pauseMs, signal },
        onBatch: (all) =>
          options.onProgress?.({
            moved: all,
            total,
            perSecond: (all / (performance.now() - started)) * 1000,
          }),
      });
      return { ...report, moved, done: !signal.aborted };
    });
  } catch (error) {
    if (error instanceof PartwayError || !begun) throw explainUntouched(error);
    throw new PartwayError(
      "unexpected",
      {
        what: messageOf(error),
        state:
          "Every row is in the table or in the archive, in exactly one: a batch is moved whole or not at all.",
        next: "The same command again goes on from there.",
      },
      { cause: error },
    );
  }
}

interface Scene {
  source: Relation;
  archive: Relation | null;
  archiveName: string;
  viewName: string | null;
  parts: Part[];
  column: string;
  before: string;
  statements: string[];
}

async function sceneOf(session: Session, options: ArchiveRowsOptions): Promise<Scene> {
  const oid = await session.tx(() => resolveTable(session, options.table), { readOnly: true });
  const source = await readRelation(session, { oid });
  if (source === null) throw badInput(`table ${options.table} has gone`, "Check the name.");
  const column = columnOf(source, options.by);
  const before = await fixedValue(session, source, column, options.before);
  const into = named(
    options.into ?? `${ident(source.schema)}.${ident(`${source.name}_archive`)}`,
    source.schema,
  );
  const archive = await readRelation(session, into);
  const archiveName = qualified(into.schema, into.name);
  const view = options.view === undefined ? null : named(options.view, source.schema);
  const columns = identList(source.columns.map(({ name }) => name));
  const statements = [
    ...(archive === null
      ? [
          ...archiveDdl(source, archiveName, options.index ?? []),
          ...(await nobodyElse(session, source, into)),
        ]
      : []),
    ...(view === null ? [] : await viewDdl(session, source, { archive, archiveName, columns }, view)),
  ];
  const viewName = view === null ? null : qualified(view.schema, view.name);
  const parts = await readParts(session, oid, column);
  return { source, archive, archiveName, viewName, parts, column, before, statements };
}

function columnOf(source: Relation, typed: string | undefined): string {
  const wanted = typed ?? source.cutBy;
  if (wanted === null)
    throw badInput(
      `${shown(source)} is not partitioned by one column: which one says how old a row is?`,
      "Name it: --by <column>.",
    );
  const found =
    source.columns.find(({ name }) => name === wanted) ??
    source.columns.find(({ name }) => name === wanted.toLowerCase());
  if (found !== undefined) return found.name;
  const names = source.columns.map(({ name }) => name).join(", ");
  throw badInput(`${shown(source)} has no column ${wanted}`, `Its columns: ${names}.`);
}

/** The value in the column's type, computed once: `now` would be another one in each batch. */
async function fixedValue(
  session: Session,
  source: Relation,
  column: string,
  typed: string,
): Promise<string> {
  const type = source.columns.find(({ name }) => name === column)?.type ?? "text";
  try {
    const Value = z.object({ value: z.string() });
    return (await session.one(Value, `SELECT ($1::text)::${type}::text AS value`, [typed])).value;
  } catch (error) {
    throw badInput(
      `--before: "${typed}" is no value of ${column}, which is ${type}: ${messageOf(error)}`,
      "For example --before 2025-01-01.",
      error,
    );
  }
}

function named(typed: string, schema: string): { schema: string; name: string } {
  const parsed = parseTableName(typed);
  if (parsed.schema !== null && /^pg_(temp|toast)/.test(parsed.schema))
    throw badInput(
      `${typed} would not outlive this command: ${parsed.schema} is for tables of a session`,
      "Name one that stays: schema.table.",
    );
  return { schema: parsed.schema ?? schema, name: parsed.name };
}

/** Takes back what ALTER DEFAULT PRIVILEGES would give others on what is made. */
async function nobodyElse(
  session: Session,
  source: Relation,
  made: { schema: string; name: string },
): Promise<string[]> {
  const others = (await readDefaultGrantees(session, source.oid, "tables", made.schema)).filter(
    (name) => name !== source.owner,
  );
  const who = others.map((name) => (name === null ? "PUBLIC" : ident(name)));
  return who.length === 0
    ? []
    : [`REVOKE ALL ON TABLE ${qualified(made.schema, made.name)} FROM ${who.join(", ")}`];
}

function archiveDdl(source: Relation, archive: string, indexes: readonly string[]): string[] {
  // Defaults would give a row that is put in by hand what it never had; what is generated comes as a value.
  const like = ["COMMENTS", "STORAGE", "COMPRESSION", ...(indexes.includes("like") ? ["INDEXES"] : [])];
  return [
    `CREATE TABLE ${archive} (LIKE ${shown(source)} ${like.map((what) => `INCLUDING ${what}`).join(" ")})`,
    ...(source.owner === source.role ? [] : [`ALTER TABLE ${archive} OWNER TO ${ident(source.owner)}`]),
    ...indexes
      .filter((one) => one !== "like")
      .map(
        (list) =>
          `CREATE INDEX ON ${archive} (${identList(list.split(",").map((name) => columnOf(source, name.trim())))})`,
      ),
  ];
}

async function viewDdl(
  session: Session,
  source: Relation,
  { archive, archiveName, columns }: { archive: Relation | null; archiveName: string; columns: string },
  view: { schema: string; name: string },
): Promise<string[]> {
  const name = qualified(view.schema, view.name);
  const found = await readView(session, view.schema, view.name);
  if (found !== null) {
    if (
      found.kind === "v" &&
      archive !== null &&
      [source.oid, archive.oid].every((oid) => found.reads.includes(oid))
    )
      return [];
    throw badInput(
      `${name} is there, and is no view of ${shown(source)} and its archive`,
      "Choose another name: --view <name>.",
    );
  }
  // Whoever reads it needs rights on both tables, as without it.
  const asInvoker = source.serverVersion >= 150_000;
  const options = asInvoker ? " WITH (security_invoker = true)" : "";
  return [
    `CREATE VIEW ${name}${options} AS SELECT ${columns} FROM ${shown(source)} UNION ALL SELECT ${columns} FROM ${archiveName}`,
    ...(source.owner === source.role ? [] : [`ALTER VIEW ${name} OWNER TO ${ident(source.owner)}`]),
    ...(asInvoker ? [] : await nobodyElse(session, source, view)),
  ];
}

function refused(table: string, against: readonly ArchiveFinding[]): PartwayError {
  return new PartwayError("refused", {
    what: `rows of ${table} are not moved as it is:\n${against.map(({ what, next }) => `  ${what}\n    ${next}`).join("\n")}`,
    state: "Nothing was touched.",
    next: "Mend or allow what is named, then the same command again.",
  });
}

function batchOf(text: string | undefined): number {
  if (text === undefined) return 5000;
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text);
  throw badInput(`--batch: "${text}" is not a number of rows`, "For example --batch 5000.");
}

function allowedOf(typed: readonly string[]): Allowable[] {
  return typed.map((text) => {
    const found = ALLOWABLE.find((one) => one === text);
    if (found === undefined)
      throw badInput(
        `--allow: there is nothing called "${text}" to allow`,
        `One of ${ALLOWABLE.join(", ")}.`,
      );
    return found;
  });
}

/**
 * An archived leaf brought back: made like the table's other leaves, filled, proven by count and hash, and attached, in one
 * transaction, so that an interrupted restore leaves nothing. The CHECK of its bound spares the scan under the lock.
 */
import { z } from "zod";
import type { ArchiveKey } from "../archive/key.js";
import { loadArchive } from "../archive/load.js";
import type { ArchiveManifest } from "../archive/manifest.js";
import type { Place } from "../archive/place.js";
import { ARCHIVE_SQL } from "../archive/store.js";
import { scratchTableSql } from "../backup/sql.js";
import { readColumns } from "../catalog/columns.js";
import { readDefaultGrantees } from "../catalog/grants.js";
import type { ArchiveSettings } from "../config/schema.js";
import { PartwayError } from "../errors.js";
import type { StrongLock } from "../pg/locks.js";
import { ident, qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { freeName, shorten } from "../plan/names.js";
import { namesIn, takeIdentity } from "./create.js";
import { type BoundSql, boundSql, differencesOf, overlapping, unproven } from "./definition.js";
import { rowsWait } from "./split.js";
import { type CareLeaf, type CareTable, shownName } from "./table.js";
import { granteeSql, readTemplate, standaloneDdl, type Template } from "./template.js";
import { type CareWork, inLocks } from "./work.js";

export interface Restore {
  manifest: ArchiveManifest;
  place: Place;
  /** Below `place`, with a slash at its end. */
  folder: string;
  key: ArchiveKey | null;
  /** Where the manifest was read from. */
  settings: ArchiveSettings;
  /** The manifest is the one that this database has kept; otherwise it is a file that anybody may have written. */
  isKnown: boolean;
}

const AS_IT_WAS = "Nothing was restored; the table is as it was.";

/** As a table of its own, with the columns it had, in its schema and under its name. Errors: as `attachRestored`. */
export async function restoreDetached(work: CareWork, restore: Restore): Promise<void> {
  const { session } = work;
  const { manifest } = restore;
  await assertFree(work, manifest.leaf);
  if (!restore.isKnown) await assertHarmless(session, manifest);
  const made = shownName(manifest.leaf);
  await session.tx(async () => {
    // Prepared, it is one statement and cannot be more.
    await session.query(
      scratchTableSql({ ...manifest.leaf, columns: manifest.columns }),
      [],
      "partway_restored",
    );
    const { oid } = await session.one(Oid, "SELECT $1::regclass::oid::text AS oid", [made]);
    const others = oid === null ? [] : await readDefaultGrantees(session, oid);
    if (others.length > 0)
      await session.query(`REVOKE ALL ON TABLE ${made} FROM ${others.map(granteeSql).join(", ")}`);
    await fill(work, restore);
    if (restore.isKnown) await session.query(ARCHIVE_SQL.restored, [manifest.id, made]);
  });
}

const Oid = z.object({ oid: z.string().nullable() });

/** What a manifest that this database has not kept says of the columns becomes part of a statement. Errors: `refused`. */
async function assertHarmless(
  session: Session,
  { id, leaf, table, columns }: ArchiveManifest,
): Promise<void> {
  const typed = qualified(table.schema, table.name);
  const { oid } = await session.one(Oid, "SELECT to_regclass($1)::oid::text AS oid", [typed]);
  const [why] = unproven(columns, oid === null ? [] : await readColumns(session, oid));
  if (why === undefined) return;
  throw new PartwayError("refused", {
    what: `the leaf ${leaf.name} is not brought back: this database does not know the archive ${id}, and ${why}`,
    state: AS_IT_WAS,
    next: "Restore it in the database that has made it, or make the table by hand: runbooks/archive-and-restore.md",
  });
}

/**
 * As a leaf of `table`. Errors: `refused` where the definition differs, the bound overlaps, the name is taken, or DEFAULT
 * has rows of its range; bad-input and `difference` where the archive is not what its manifest says; `lock-busy`.
 */
export async function attachRestored(work: CareWork, table: CareTable, restore: Restore): Promise<void> {
  const { session } = work;
  const { manifest } = restore;
  const bound = await assertFits(work, table, manifest);
  const [parent, made] = [shownName(table), shownName(manifest.leaf)];
  const template: Template = { ...(await readTemplate(session, table)), schema: manifest.leaf.schema };
  const check = freeName(`${shorten(manifest.leaf.name, 50)}_bound`, new Set());
  const attach = `ALTER TABLE ${parent} ATTACH PARTITION ${made} ${bound.forValues}`;
  const fallback = defaultOf(table);
  const locks: StrongLock[] =
    fallback === null ? [] : [{ table: shownName(fallback), mode: "ACCESS EXCLUSIVE" }];
  try {
    await inLocks(work, {
      ...{ purpose: `restored leaf ${manifest.leaf.name}`, parent, state: AS_IT_WAS },
      before: async () => {
        const bounded = { name: check, expression: bound.condition };
        for (const sql of standaloneDdl(template, parent, manifest.leaf.name, bounded))
          await session.query(sql);
        await fill(work, restore);
      },
      strong: [...locks, { holdMs: work.settings.holdBudgetMs, work: attach }],
      after: async () => {
        await session.query(`ALTER TABLE ${made} DROP CONSTRAINT ${ident(check)}`);
        if (template.identity === "i" && template.leaf !== null)
          await takeIdentity(session, template.leaf, made);
        await session.query(ARCHIVE_SQL.attached, [
          ...[manifest.id, table.oid, made, manifest.leaf.schema, manifest.leaf.name, manifest.bound],
          JSON.stringify(restore.settings),
        ]);
      },
    });
  } catch (error) {
    throw explained(error, table, manifest);
  }
}

function fill({ session, signal, onArchive }: CareWork, { manifest, place, folder, key }: Restore) {
  const onBytes = (bytes: number) => onArchive?.(manifest.leaf.name, "read", bytes);
  return loadArchive(session, { manifest, place, folder, key, signal, onBytes }, manifest.leaf);
}

function defaultOf({ leaves }: CareTable): CareLeaf | null {
  return leaves.find(({ bound }) => bound.kind === "default") ?? null;
}

async function assertFits(work: CareWork, table: CareTable, manifest: ArchiveManifest): Promise<BoundSql> {
  const { session } = work;
  await assertFree(work, manifest.leaf);
  if (table.strategy !== "range" || table.column !== manifest.table.column)
    throw refused(manifest, `${shownName(table)} is not cut by ranges of ${manifest.table.column} any more`);
  const different = differencesOf(manifest.columns, await readColumns(session, table.oid));
  if (different.length > 0)
    throw refused(manifest, `${shownName(table)} is not what it was: ${different.join("; ")}`);
  const [inTheWay] = overlapping(table, manifest.bound);
  if (inTheWay !== undefined)
    throw refused(
      manifest,
      `its bound, ${manifest.bound}, overlaps that of the leaf ${inTheWay.name}, ${inTheWay.boundText}`,
    );
  const bound = boundSql(manifest.bound, manifest.table.column);
  if (bound === null) throw refused(manifest, `its bound, ${manifest.bound}, is not a range of one column`);
  const fallback = defaultOf(table);
  if (fallback !== null && (await rowsWait(work, fallback, bound.condition)))
    throw refused(manifest, `the DEFAULT leaf ${fallback.name} has rows of its range`);
  return bound;
}

async function assertFree({ session }: CareWork, leaf: { schema: string; name: string }): Promise<void> {
  if (!(await namesIn(session, leaf.schema)).includes(leaf.name)) return;
  throw new PartwayError("refused", {
    what: `there is a ${qualified(leaf.schema, leaf.name)} already`,
    state: AS_IT_WAS,
    next: "Rename or drop that one, if it is not the leaf itself, then the same command again.",
  });
}

function refused({ id, leaf }: ArchiveManifest, why: string, cause?: unknown): PartwayError {
  const next = `partway restore-leaf ${id} --detached brings it back as a table of its own.`;
  const what = `the leaf ${leaf.name} cannot be attached: ${why}`;
  return new PartwayError("refused", { what, state: AS_IT_WAS, next }, { cause });
}

const OVERLAPS = "42P17";
/** A row that a constraint or a type of today does not take. */
const REFUSES_ROW = /^2[23]/;

function explained(error: unknown, table: CareTable, manifest: ArchiveManifest): unknown {
  const state = sqlState(error);
  if (error instanceof PartwayError) {
    if (error.kind !== "lock-busy") return error;
    const next = `${error.next}; where nobody is in the way: --hold-budget 1m, for the checks of foreign keys and of DEFAULT`;
    return new PartwayError("lock-busy", { what: error.message, state: error.state, next }, { cause: error });
  }
  if (state === null || !(error instanceof Error)) return error;
  if (state === OVERLAPS || REFUSES_ROW.test(state))
    return refused(manifest, `${shownName(table)} refuses it: ${error.message}`, error);
  if (state !== SQLSTATE.invalidSchema) return error;
  const next = `CREATE SCHEMA ${ident(manifest.leaf.schema)}, then the same command again.`;
  return new PartwayError("refused", { what: error.message, state: AS_IT_WAS, next }, { cause: error });
}

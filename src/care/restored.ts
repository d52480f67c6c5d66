/**
 * An archived leaf brought back: made like the table's other leaves, filled, proven by count and hash, and attached, in one
 * transaction, so that an interrupted restore leaves nothing. The CHECK of its bound spares the scan under the lock.
 */
import type { ArchiveKey } from "../archive/key.js";
import { loadArchive } from "../archive/load.js";
import type { ArchiveManifest } from "../archive/manifest.js";
import type { Place } from "../archive/place.js";
import { ARCHIVE_SQL } from "../archive/store.js";
import { scratchTableSql } from "../backup/sql.js";
import { readColumns } from "../catalog/columns.js";
import { PartwayError } from "../errors.js";
import type { StrongLock } from "../pg/locks.js";
import { ident, qualified } from "../pg/quote.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { freeName, shorten } from "../plan/names.js";
import { namesIn, takeIdentity } from "./create.js";
import { type BoundSql, boundSql, differencesOf, overlapping } from "./definition.js";
import { rowsWait } from "./split.js";
import { type CareLeaf, type CareTable, shownName } from "./table.js";
import { readTemplate, standaloneDdl, type Template } from "./template.js";
import { type CareWork, inLocks } from "./work.js";

export interface Restore {
  manifest: ArchiveManifest;
  place: Place;
  /** Below `place`, with a slash at its end. */
  folder: string;
  key: ArchiveKey | null;
  /** Note it at the archive's row: there is one in this database. */
  isKnown: boolean;
}

const AS_IT_WAS = "Nothing was restored; the table is as it was.";

/** As a table of its own, with the columns it had, in its schema and under its name. Errors: as `attachRestored`. */
export async function restoreDetached(work: CareWork, restore: Restore): Promise<void> {
  const { session } = work;
  const { manifest } = restore;
  await assertFree(work, manifest.leaf);
  await session.tx(async () => {
    await session.query(scratchTableSql({ ...manifest.leaf, columns: manifest.columns }));
    await fill(work, restore);
    await note(work, restore);
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
        await note(work, restore);
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

async function note({ session }: CareWork, { manifest: { id, leaf }, isKnown }: Restore): Promise<void> {
  if (isKnown) await session.query(ARCHIVE_SQL.restored, [id, shownName(leaf)]);
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

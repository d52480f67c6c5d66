/**
 * An expired leaf into its archive, and only then out of the database. It stays attached, and the application's queries
 * find it, until the archive is proven; whether it is still what was archived is asked under a lock that no writer
 * passes, in the transaction that drops it.
 */
import { isDeepStrictEqual } from "node:util";
import { dataFileOf, exportLeaf, folderOf, newArchiveId } from "../archive/export.js";
import { type ArchiveKey, readKey } from "../archive/key.js";
import { isIntact, SumRow } from "../archive/load.js";
import { type ArchiveManifest, isManifestThere, MANIFEST_END } from "../archive/manifest.js";
import { NotThere, openPlace, type Place, PlaceFault } from "../archive/place.js";
import { ARCHIVE_SQL, type ArchiveRow, beginArchive, openArchive } from "../archive/store.js";
import { sumSql } from "../backup/sql.js";
import { cancelledBy } from "../backup/stop.js";
import { readColumns } from "../catalog/columns.js";
import type { ColumnInfo } from "../catalog/types.js";
import type { ArchiveSettings } from "../config/schema.js";
import { asPartwayError, badInput, PartwayError } from "../errors.js";
import { Session } from "../pg/session.js";
import { SQLSTATE, sqlState } from "../pg/sqlstate.js";
import { parseBound } from "./bound.js";
import { assertCalled } from "./called.js";
import type { DetachableLeaf } from "./detach.js";
import { CARE_SQL, Present } from "./store.js";
import { type CareTable, shellName, shownName } from "./table.js";
import { type CareWork, inLocks } from "./work.js";

/** A leaf, attached or detached, with the bound it has or had. */
export interface Archivable extends DetachableLeaf {
  bound: string;
}

export interface Archived {
  id: string;
  manifest: ArchiveManifest;
}

const THERE = "The leaf and its rows are there; nothing was dropped.";

/** Errors: `refused`, before anything is touched. */
export function assertArchivable(
  table: CareTable,
  leaf: { name: string; kind: string; bound: string },
  verb = "archived",
): void {
  const refuse = (why: string) => {
    const next = "Leave it, or export it by hand; the policy may say detach: partway adopt --expired detach.";
    const what = `the leaf ${leaf.name} of ${shownName(table)} cannot be ${verb}: ${why}`;
    throw new PartwayError("refused", { what, state: "Nothing was touched.", next });
  };
  if (table.strategy !== "range" || table.column === null)
    refuse("the table is not cut by ranges of one column");
  if (leaf.kind !== "table") refuse(`it is ${leaf.kind}, and holds no rows itself`);
  if (parseBound(leaf.bound).kind !== "range") refuse("it is not a range");
}

/** One archive's place and key, opened before anything is touched, and closed at the end. */
export async function withPlace<T>(
  table: CareTable,
  settings: ArchiveSettings,
  work: (place: Place, key: ArchiveKey | null) => Promise<T>,
): Promise<T> {
  const key = await readKey(settings);
  const place = await openPlace(settings, shownName(table));
  try {
    return await work(place, key);
  } catch (error) {
    throw explained(table, error);
  } finally {
    place.close();
  }
}

/** The leaf's archive, made and proven; one that an interrupted run has made is read again, and kept if it is whole. */
export async function ensureArchived(
  work: CareWork,
  table: CareTable,
  leaf: Archivable,
  settings: ArchiveSettings,
): Promise<Archived> {
  return withPlace(table, settings, async (place, key) => {
    const { session, signal } = work;
    const open = await openArchive(session, leaf.oid);
    const mine = open !== null && isSame(open.settings, settings) ? open : null;
    await assertCalled(work, table, leaf);
    if (mine !== null && (await isWhole(mine, leaf, place, key, signal)) && mine.manifest !== null)
      return { id: mine.id, manifest: mine.manifest };
    await place.probe();
    const id = newArchiveId(leaf.name);
    const format = settings.format ?? "csv";
    const { oid, schema, name, bound } = leaf;
    // Begun in the other format there, it is not gone on with, and what a killed run has left of it would stay.
    if (open !== null && isSame({ ...open.settings, format }, { ...settings, format }))
      for (const file of [
        dataFileOf(open.id, key, open.settings.format ?? "csv"),
        `${open.id}${MANIFEST_END}`,
      ])
        for (const note of await place.forget(`${folderOf(table)}${file}`)) work.onNote?.(name, note);
    if (mine !== null) {
      await session.query(ARCHIVE_SQL.again, [mine.id, id, schema, name]);
    } else await beginArchive(session, { id, table: table.oid, leaf: oid, schema, name, bound }, settings);
    const manifest = await exportLeaf({
      ...{ id, table: { schema: table.schema, name: table.name, column: table.column ?? "" }, leaf, bound },
      ...{ target: session.target, place, key, format, signal },
      onBytes: (step, bytes) => work.onArchive?.(name, step, bytes),
    }).catch(async (error: unknown) => {
      // Another table's columns, or none: what the server says to that helps nobody.
      if (sqlState(error) !== null && !session.lost) await assertCalled(work, table, leaf);
      throw error;
    });
    // Its rows were read by its name.
    await assertCalled(work, table, leaf);
    await session.query(ARCHIVE_SQL.verified, [id, JSON.stringify(manifest)]);
    return { id, manifest };
  });
}

async function isWhole(
  { manifest }: ArchiveRow,
  leaf: Archivable,
  place: Place,
  key: ArchiveKey | null,
  signal: AbortSignal,
): Promise<boolean> {
  if (manifest === null || manifest.data.key !== (key?.id ?? null)) return false;
  if (manifest.leaf.name !== leaf.name) return false;
  try {
    const folder = folderOf(manifest.table);
    if (!(await isManifestThere(place, `${folder}${manifest.id}${MANIFEST_END}`, manifest))) return false;
    return await isIntact({ manifest, folder, place, key, signal });
  } catch (error) {
    if (error instanceof NotThere) return false;
    throw error;
  }
}

/** How often a leaf that somebody has written into meanwhile is archived anew. */
const TRIES = 2;

/**
 * Drops the detached leaf, once it is what its archive holds; one that was written into since is archived anew. False:
 * it is another's by now, and was left. `made`: what this run has just proven. Errors: `difference` when it keeps changing.
 */
export async function dropArchived(
  work: CareWork,
  table: CareTable,
  leaf: Archivable,
  settings: ArchiveSettings,
  made: Archived | null,
): Promise<boolean> {
  let archived = made;
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    archived ??= await ensureArchived(work, table, leaf, settings);
    const fate = await dropUnchanged(work, leaf, table, archived);
    if (fate !== "changed") return fate === "dropped";
    await work.session.query(ARCHIVE_SQL.untrue, [archived.id]);
    archived = null;
  }
  throw new PartwayError("difference", {
    what: `the leaf ${leaf.name} of ${shownName(table)} was written into or altered while it was archived, ${TRIES} times`,
    state: "It is detached, and all of its rows are in it: it was not dropped.",
    next: "Find who writes into it by its name (pg_stat_activity), then the same command again.",
  });
}

async function dropUnchanged(
  work: CareWork,
  leaf: Archivable,
  table: CareTable,
  { id, manifest }: Archived,
): Promise<"dropped" | "changed" | "another's"> {
  const { session, signal } = work;
  const name = shownName(leaf);
  let fate: "changed" | "another's" = "another's";
  const isDropped = await inLocks(work, {
    ...{ purpose: `drop of ${leaf.name}`, parent: null, leaf: name },
    // Readers go on; who would write waits for the end, and then finds no table.
    checkLocks: [{ table: name, mode: "SHARE ROW EXCLUSIVE" }],
    check: async () => {
      const { present } = await session.one(Present, CARE_SQL.ours, [leaf.oid, leaf.schema, leaf.name]);
      if (present !== "true") {
        await assertCalled(work, table, leaf, id);
        return false;
      }
      fate = "changed";
      const { schema } = leaf;
      const columns = await readColumns(session, leaf.oid);
      // A column renamed gives the same hash, and an archive that the table cannot take back.
      if (!haveSameColumns(columns, manifest.columns)) return false;
      const open = () => Session.open(session.target);
      const sum = await cancelledBy(signal, session, open, () =>
        session.one(SumRow, sumSql({ schema, name: leaf.name, columns })),
      );
      return sum.rows === manifest.rows && sum.hash === manifest.hash;
    },
    strong: [{ alter: `DROP TABLE ${name}` }],
    after: async () => {
      await session.query(ARCHIVE_SQL.dropped, [id]);
      await session.query(CARE_SQL.left, [leaf.oid]);
    },
    state: `${THERE} Its archive is proven: ${id}.`,
  });
  return isDropped ? "dropped" : fate;
}

function haveSameColumns(now: readonly ColumnInfo[], archived: ArchiveManifest["columns"]): boolean {
  const said = (columns: readonly Pick<ColumnInfo, "name" | "type" | "collation">[]) =>
    columns.map(({ name, type, collation }) => ({ name, type, collation }));
  return isDeepStrictEqual(said(now), said(archived));
}

function isSame(a: ArchiveSettings, b: ArchiveSettings): boolean {
  const keys = ["to", "endpoint", "region", "keyFile", "keyEnv"] as const;
  return keys.every((key) => a[key] === b[key]) && (a.format ?? "csv") === (b.format ?? "csv");
}

/** A place that cannot be used, and a table of archives that is not there, as the operator should read it. */
function explained(table: CareTable, error: unknown): unknown {
  if (error instanceof PlaceFault)
    return new PartwayError(
      "refused",
      { what: error.message, state: THERE, next: error.next },
      { cause: error },
    );
  if (sqlState(error) === SQLSTATE.undefinedTable && /partition_archive/.test(String(error)))
    return badInput(
      "this database has no place to note archives",
      `Adopt the table again: partway adopt ${shellName(table)}`,
      error,
    );
  return error instanceof PartwayError || sqlState(error) !== null
    ? error
    : asPartwayError(error, THERE, "The same command again goes on.");
}

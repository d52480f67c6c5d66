/** Leaves into archives by hand, and back again. Part of the programmatic interface. */
import { resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { folderOf } from "./archive/export.js";
import { readKey } from "./archive/key.js";
import { type ArchiveManifest, MANIFEST_END, readManifest } from "./archive/manifest.js";
import { openPlace, PlaceFault } from "./archive/place.js";
import { checkArchive } from "./archive/settings.js";
import { type ArchiveRow, archivesNamed, archivesOf, detachedArchive } from "./archive/store.js";
import { stopped } from "./backup/stop.js";
import { oneAtATime } from "./care/alone.js";
import { assertArchivable } from "./care/archived.js";
import { migrating } from "./care/maintain.js";
import { attachRestored, restoreDetached } from "./care/restored.js";
import { type Fate, finishLeaf, retireLeaf } from "./care/retire.js";
import { makeCareStore, migrationOf, readPolicies } from "./care/store.js";
import { type CareLeaf, type CareTable, readCareTable, shellName, shownName } from "./care/table.js";
import type { CareWork } from "./care/work.js";
import { type CareOptions, connected, type MaintainOptions } from "./care.js";
import { parseSettings } from "./config/request.js";
import type { ArchiveSettings } from "./config/schema.js";
import { badInput, PartwayError } from "./errors.js";
import { deadlockTimeoutMs } from "./pg/locks.js";
import { qualified } from "./pg/quote.js";
import type { Session } from "./pg/session.js";

export type WorkOptions = Omit<CareOptions, "tables" | "now" | "config"> &
  Pick<
    MaintainOptions,
    | "lockTimeout"
    | "lockTimeoutMax"
    | "lockTries"
    | "holdBudget"
    | "signal"
    | "onTry"
    | "onArchive"
    | "onNote"
  >;

/** Where to, and with which key; left out: as the table's policy says, or as it was archived. */
export type PlaceOptions = Partial<ArchiveSettings>;

export interface ArchiveOptions extends WorkOptions, PlaceOptions {
  table: string;
  leaf: string;
  /** Without it, only what would be done is told. */
  apply?: boolean | undefined;
}

export interface ArchiveReport {
  table: string;
  leaf: string;
  bound: string;
  to: string;
  isSealed: boolean;
  fate: Fate | "would-archive";
  /** Null where it is not in its archive yet. */
  archive: ListedArchive | null;
}

/** One archive, as partway.partition_archive has it. */
export interface ListedArchive {
  id: string;
  leaf: string;
  bound: string;
  state: "unfinished" | "proven" | "archived" | "restored";
  manifest: string;
  /** Null: it is not proven yet. */
  rows: number | null;
  bytes: number | null;
  hash: string | null;
  isSealed: boolean;
  begunAt: string;
  droppedAt: string | null;
}

/** The archives of a table, oldest first. Reads only. */
export function archives(options: WorkOptions & { table: string }): Promise<ListedArchive[]> {
  return connected(options, async (session) => {
    const { oid } = await readCareTable(session, { typed: options.table });
    return (await archivesOf(session, oid)).map(listed);
  });
}

/**
 * Archives one leaf, whether expired or not, detaches and drops it. Errors: bad-input; `refused`, before anything is
 * touched, where it cannot be archived; `stopped`, `lock-busy`, `difference`: the same call again goes on.
 */
export function archive(options: ArchiveOptions): Promise<ArchiveReport> {
  return atWork(options, async (work) => {
    const { session } = work;
    const table = await readCareTable(session, { typed: options.table });
    const leaf = table.leaves.find((one) => isCalled(one, options.leaf)) ?? null;
    const begun = leaf === null ? await detachedArchive(session, table.oid, options.leaf) : null;
    if (leaf === null && begun === null) throw noLeaf(table, options.leaf);
    const settings = await settingsOf(session, table, options, begun);
    const bound = leaf?.boundText ?? begun?.bound ?? "";
    const name = leaf?.name ?? begun?.name ?? options.leaf;
    const report: ArchiveReport = {
      ...{
        table: shownName(table),
        leaf: name,
        bound,
        to: settings.to,
        fate: "would-archive",
        archive: null,
      },
      isSealed: settings.keyFile !== undefined || settings.keyEnv !== undefined,
    };
    if (leaf !== null) assertArchivable(table, { ...leaf, bound });
    const migration = await migrationOf(session, table.oid);
    if (migration !== null) throw migrating(shownName(table), migration);
    if (options.apply !== true) return report;
    await oneAtATime(work.observer);
    await makeCareStore(session);
    const then = { do: "archive", settings } as const;
    const fate =
      leaf !== null
        ? await retireLeaf(work, table, leaf, then)
        : begun === null
          ? null
          : await finishLeaf(work, table, { ...begun, oid: begun.leaf }, then, null);
    const made = (await archivesOf(session, table.oid)).findLast((one) => one.name === name);
    return { ...report, fate: fate ?? "detached", archive: made === undefined ? null : listed(made) };
  });
}

export interface RestoreLeafOptions extends WorkOptions, Omit<PlaceOptions, "to" | "format"> {
  /** The manifest's path or s3:// address; or the id, or the leaf's name, of an archive that this database knows. */
  archive: string;
  /** As a table of its own. */
  detached?: boolean | undefined;
}

export interface RestoreLeafReport {
  id: string;
  leaf: string;
  /** Null: it is a table of its own. */
  table: string | null;
  bound: string;
  rows: number;
  /** Equal to that of the leaf when it was archived: a difference is an error. */
  hash: string;
}

/** Brings an archived leaf back. Errors: bad-input, `refused`, `difference`, `lock-busy`, `stopped`: nothing is left behind. */
export function restoreLeaf(options: RestoreLeafOptions): Promise<RestoreLeafReport> {
  return atWork(options, async (work) => {
    const { session } = work;
    await oneAtATime(work.observer);
    const source = await sourceOf(session, options);
    const key = await readKey(source.settings);
    const place = await openPlace(source.settings, "restore-leaf");
    try {
      const found = await readManifest(place, source.name);
      const known = (await archivesNamed(session, found.id)).find(({ id }) => id === found.id)?.manifest;
      if (known != null) assertSame(found, known);
      const manifest = known ?? found;
      const folder = source.name.slice(0, source.name.lastIndexOf("/") + 1);
      const { settings } = source;
      const restore = { manifest, place, folder, key, settings, isKnown: known != null };
      const { id, leaf, bound, rows, hash } = manifest;
      const report = { id, leaf: qualified(leaf.schema, leaf.name), table: null, bound, rows, hash };
      if (options.detached === true) {
        await restoreDetached(work, restore);
        return report;
      }
      const typed = qualified(manifest.table.schema, manifest.table.name);
      const table = await readCareTable(session, { typed });
      const migration = await migrationOf(session, table.oid);
      if (migration !== null) throw migrating(typed, migration);
      // Where nobody notes that it was brought back, the next maintenance takes it away again.
      await makeCareStore(session);
      await attachRestored(work, table, restore);
      await session.query(`ANALYZE ${report.leaf}`);
      return { ...report, table: typed };
    } finally {
      place.close();
    }
  });
}

/** Two connections and lock bounds; what stops or fails is said as of an archive or restore by hand. */
export function atWork<T>(
  options: WorkOptions,
  run: (work: CareWork) => Promise<T>,
  kept = "No row is lost: a leaf is dropped only when its archive is proven.",
): Promise<T> {
  const settings = parseSettings(options);
  const { signal = new AbortController().signal, onTry = () => undefined, onArchive, onNote } = options;
  return connected(options, async (session, observer) => {
    const deadlockMs = await deadlockTimeoutMs(session);
    try {
      return await run({ session, observer, settings, signal, deadlockMs, onTry, onArchive, onNote });
    } catch (error) {
      if (signal.aborted) throw stopped("it", kept, AGAIN, error);
      if (error instanceof PlaceFault)
        throw new PartwayError(
          "refused",
          { what: error.message, state: "Nothing was restored.", next: error.next },
          { cause: error },
        );
      throw error;
    }
  });
}

const AGAIN = "The same command again goes on.";

export function isCalled(leaf: Pick<CareLeaf, "schema" | "name">, typed: string): boolean {
  return [leaf.name, `${leaf.schema}.${leaf.name}`, shownName(leaf)].includes(typed);
}

function noLeaf(table: CareTable, typed: string): PartwayError {
  return badInput(
    `${shownName(table)} has no leaf ${typed}`,
    `partway partitions ${shellName(table)} lists its leaves; partway archive ${shellName(table)} what is archived.`,
  );
}

async function settingsOf(
  session: Session,
  table: CareTable,
  options: ArchiveOptions,
  begun: ArchiveRow | null,
): Promise<ArchiveSettings> {
  const { to, endpoint, region, keyFile, keyEnv, format } = options;
  const typed = { endpoint, region, keyFile, keyEnv };
  if (to !== undefined) return checkArchive(given({ to, ...typed, format }), "archive");
  if (Object.values(typed).some((value) => value !== undefined))
    throw badInput("it is not said where the archive goes", "Give --to as well.");
  const written = format === undefined ? {} : { format };
  if (begun !== null) return { ...begun.settings, ...written };
  const stored = (await readPolicies(session)).find(({ oid }) => oid === table.oid);
  const settings = stored?.policy?.archive;
  if (settings === undefined)
    throw badInput(
      `${shownName(table)} has no place for archives`,
      "Give one: --to /var/archive or --to s3://bucket/prefix.",
    );
  return checkArchive({ ...settings, ...written }, shownName(table));
}

/** Without what was not said, so that it can be compared and stored. */
function given({
  to,
  ...more
}: { [K in keyof ArchiveSettings]: ArchiveSettings[K] | undefined } & { to: string }): ArchiveSettings {
  return { to, ...Object.fromEntries(Object.entries(more).filter(([, value]) => value !== undefined)) };
}

function listed({ id, name, bound, settings, manifest, ...row }: ArchiveRow): ListedArchive {
  const state =
    row.restoredAt !== null
      ? "restored"
      : row.droppedAt !== null
        ? "archived"
        : manifest === null
          ? "unfinished"
          : "proven";
  const folder = manifest === null ? "" : folderOf(manifest.table);
  return {
    ...{ id, leaf: name, bound, state, begunAt: row.begunAt, droppedAt: row.droppedAt },
    manifest:
      manifest === null ? settings.to : `${settings.to.replace(/\/+$/, "")}/${folder}${id}${MANIFEST_END}`,
    ...{ rows: manifest?.rows ?? null, bytes: manifest?.data.bytes ?? null, hash: manifest?.hash ?? null },
    isSealed: settings.keyFile !== undefined || settings.keyEnv !== undefined,
  };
}

/** Where the manifest lies: `name` below the place of `settings`. */
async function sourceOf(
  session: Session,
  options: RestoreLeafOptions,
): Promise<{ settings: ArchiveSettings; name: string }> {
  const { archive: typed, endpoint, region, keyFile, keyEnv } = options;
  const more = { endpoint, region, keyFile, keyEnv };
  if (typed.includes("/") || typed.endsWith(MANIFEST_END)) {
    const whole = typed.startsWith("s3://") ? typed : resolve(typed);
    const cut = whole.lastIndexOf("/");
    const settings = checkArchive(given({ to: whole.slice(0, Math.max(1, cut)), ...more }), "restore-leaf");
    return { settings, name: whole.slice(cut + 1) };
  }
  const found = await archivesNamed(session, typed);
  const [only] = found;
  if (only === undefined || only.manifest === null)
    throw badInput(
      `this database knows no archive ${typed}`,
      `partway archive <table> lists them; or give the path of its manifest, which ends in ${MANIFEST_END}.`,
    );
  if (found.length > 1)
    throw badInput(
      `there are ${found.length} archives of ${typed}: ${found.map(({ id, begunAt }) => `${id} (${begunAt})`).join(", ")}`,
      "Give the id of one of them.",
    );
  const { to, ...rest } = { ...only.settings, ...given({ to: only.settings.to, ...more }) };
  if (keyFile !== undefined) delete rest.keyEnv;
  if (keyEnv !== undefined) delete rest.keyFile;
  const settings = checkArchive({ to, ...rest }, "restore-leaf");
  return { settings, name: `${folderOf(only.manifest.table)}${only.id}${MANIFEST_END}` };
}

/** The database has kept what was proven. */
function assertSame(manifest: ArchiveManifest, known: ArchiveManifest): void {
  if (isDeepStrictEqual(manifest, known)) return;
  throw new PartwayError("difference", {
    what: `the manifest of ${manifest.id} is not the one that was written: this database has kept it in partway.partition_archive`,
    state: "Nothing was restored.",
    next: "Use another copy of the archive.",
  });
}

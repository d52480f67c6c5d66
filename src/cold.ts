/** Leaves onto another PostgreSQL server, where they stay readable, and back. Part of the programmatic interface. */
import { atWork, isCalled, type WorkOptions } from "./archive.js";
import { oneAtATime } from "./care/alone.js";
import { assertArchivable } from "./care/archived.js";
import { migrating } from "./care/maintain.js";
import { makeCareStore, migrationOf } from "./care/store.js";
import { type CareLeaf, type CareTable, readCareTable, shellName, shownName } from "./care/table.js";
import { connected } from "./care.js";
import { readColumns } from "./catalog/columns.js";
import { coolLeaf } from "./cold/cool.js";
import { coldWayOf, makeMapping } from "./cold/local.js";
import { ownNote } from "./cold/own.js";
import { type ColdRow, coldRows } from "./cold/store.js";
import { assertTakes } from "./cold/twin.js";
import { isViewThere, viewOf } from "./cold/view.js";
import { dropCopy, warmLeaf } from "./cold/warm.js";
import { badInput, PartwayError } from "./errors.js";
import { resolveTarget } from "./pg/resolve.js";
import { Session } from "./pg/session.js";
import type { Target } from "./pg/target.js";

/** The name of the foreign server where none is given. */
const SERVER = "partway_cold";

export interface CoolOptions extends WorkOptions {
  table: string;
  leaves: readonly string[];
  /** The cold server's database, as psql takes it; else PARTWAY_COLD_URL. */
  to?: string | undefined;
  /** The foreign server that reads it; default `partway_cold`. */
  server?: string | undefined;
  /** This role's user mapping is made from the URL where there is none. */
  makeMapping?: boolean | undefined;
  /** Without it, only what would be done is told. */
  apply?: boolean | undefined;
  /** After each leaf. */
  onLeaf?: ((leaf: CooledLeaf) => void) | undefined;
}

export interface CooledLeaf {
  leaf: string;
  bound: string;
  fate: "would-cool" | "cooled";
  id: string | null;
  rows: number | null;
  hash: string | null;
}

export interface CoolReport {
  table: string;
  server: string;
  /** Of the cold database: `host:port/database`. */
  to: string;
  /** A partition of the table, or a table beside it and a part of `view`. */
  how: "attached" | "beside";
  /** Why it is not attached. */
  why: string | null;
  view: string | null;
  notes: string[];
  leaves: CooledLeaf[];
}

/**
 * Moves leaves to another server. Errors: bad-input, before anything is touched, with the statements that are missing;
 * `difference`, `refused`, `lock-busy`, `stopped`: the leaf it is about is in its place, those before it are moved.
 */
export function cool(options: CoolOptions): Promise<CoolReport> {
  return atWork(
    options,
    async (work) => {
      const { session } = work;
      const table = await readCareTable(session, { typed: options.table });
      const leaves = leavesNamed(table, options.leaves);
      const target = await coldTarget(options.to);
      const migration = await migrationOf(session, table.oid);
      if (migration !== null) throw migrating(shownName(table), migration);
      const given = { server: options.server ?? SERVER, cold: target, mayMap: options.makeMapping === true };
      const way = await coldWayOf(session, table, given);
      const view = way.how === "beside" ? viewOf(table) : null;
      if (view !== null) await isViewThere(session, table);
      return onCold(target, async (cold) => {
        const notes = await assertRoom(session, cold, table, leaves);
        const report: CoolReport = {
          ...{ table: shownName(table), server: way.server, how: way.how, why: way.why, view, notes },
          to: `${target.host}:${target.port}/${target.database}`,
          leaves: leaves.map(({ name, boundText }) => ({
            ...{ leaf: name, bound: boundText, fate: "would-cool", id: null, rows: null, hash: null },
          })),
        };
        if (options.apply !== true) return report;
        await oneAtATime(work.observer);
        await makeCareStore(session);
        if (way.needsMapping) await makeMapping(session, way, target);
        report.leaves = [];
        for (const leaf of leaves) {
          const made = await coolLeaf(work, { table, way, target: session.target, cold }, leaf);
          const moved: CooledLeaf = { leaf: leaf.name, bound: leaf.boundText, fate: "cooled", ...made };
          report.leaves.push(moved);
          options.onLeaf?.(moved);
        }
        return report;
      });
    },
    KEPT,
  );
}

/** One cold leaf, as partway.partition_cold has it. */
export interface ListedCold {
  leaf: string;
  bound: string;
  state: "unfinished" | "cold" | "warm";
  how: "attached" | "beside";
  server: string;
  rows: number | null;
  hash: string | null;
  cooledAt: string | null;
  /** Its copy on the cold server was dropped. */
  isDropped: boolean;
}

/** What was cooled of a table, oldest first. Reads only. */
export function coldLeaves(options: WorkOptions & { table: string }): Promise<ListedCold[]> {
  return connected(options, async (session) => {
    const { oid } = await readCareTable(session, { typed: options.table });
    return (await coldRows(session, oid)).map(listed);
  });
}

function listed({ name, bound, how, server, rows, hash, cooledAt, isWarm, isDropped }: ColdRow): ListedCold {
  const state = isWarm ? "warm" : cooledAt === null ? "unfinished" : "cold";
  return { leaf: name, bound, state, how, server, rows, hash, cooledAt, isDropped };
}

export interface WarmOptions extends WorkOptions {
  table: string;
  leaves: readonly string[];
  /** The cold server's database, as psql takes it; else PARTWAY_COLD_URL. */
  to?: string | undefined;
  /** The cold copy goes once the leaf is back. */
  dropCold?: boolean | undefined;
  /** Rows that were changed in the cold are brought back as they are there. */
  acceptChanges?: boolean | undefined;
  /** Without it, only what would be done is told. */
  apply?: boolean | undefined;
  onLeaf?: ((leaf: WarmedLeaf) => void) | undefined;
}

export interface WarmedLeaf {
  leaf: string;
  bound: string;
  fate: "would-warm" | "warmed" | "cold-dropped";
  rows: number | null;
  hash: string | null;
}

export interface WarmReport {
  table: string;
  leaves: WarmedLeaf[];
}

/**
 * Brings cold leaves back; with `dropCold` the copy of one that is back already goes, too. Errors: as `cool`; nothing of
 * the leaf it is about was changed.
 */
export function warm(options: WarmOptions): Promise<WarmReport> {
  return atWork(
    options,
    async (work) => {
      const { session } = work;
      const table = await readCareTable(session, { typed: options.table });
      const rows = await coldNamed(session, table, options);
      const target = await coldTarget(options.to);
      const migration = await migrationOf(session, table.oid);
      if (migration !== null) throw migrating(shownName(table), migration);
      const shown = ({ name, bound }: ColdRow) => ({ leaf: name, bound, rows: null, hash: null });
      const report: WarmReport = {
        table: shownName(table),
        leaves: rows.map((row) => ({ ...shown(row), fate: "would-warm" })),
      };
      if (options.apply !== true) return report;
      await oneAtATime(work.observer);
      await makeCareStore(session);
      report.leaves = [];
      for (const row of rows) {
        const sum = row.isWarm
          ? null
          : await warmLeaf(work, table.oid, target, row, options.acceptChanges === true);
        const fate = options.dropCold === true ? "cold-dropped" : "warmed";
        if (options.dropCold === true) await dropCopy(work, target, row, sum);
        const leaf: WarmedLeaf = { ...shown(row), ...(sum ?? {}), fate };
        report.leaves.push(leaf);
        options.onLeaf?.(leaf);
      }
      return report;
    },
    KEPT,
  );
}

const KEPT =
  "No row is lost: a leaf, or a cold copy, is dropped only when the other one is proven and in its place.";

async function coldNamed(
  session: Session,
  table: CareTable,
  { leaves, dropCold }: WarmOptions,
): Promise<ColdRow[]> {
  const all = (await coldRows(session, table.oid)).filter(
    (row) => row.cooledAt !== null && (!row.isWarm || (dropCold === true && !row.isDropped)),
  );
  return leaves.map((typed) => {
    const row = all.findLast((one) => isCalled(one, typed));
    if (row !== undefined) return row;
    throw badInput(
      `${shownName(table)} has no cold leaf ${typed}`,
      `partway cool ${shellName(table)} lists them.`,
    );
  });
}

function leavesNamed(table: CareTable, typed: readonly string[]): CareLeaf[] {
  return typed.map((name) => {
    const leaf = table.leaves.find((one) => isCalled(one, name));
    if (leaf === undefined)
      throw badInput(
        `${shownName(table)} has no leaf ${name}`,
        `partway partitions ${shellName(table)} lists its leaves; partway cool ${shellName(table)} those that are cold.`,
      );
    try {
      assertArchivable(table, { ...leaf, bound: leaf.boundText }, "cooled");
    } catch (error) {
      if (!(error instanceof PartwayError)) throw error;
      throw badInput(error.message, "Leave it where it is.", error);
    }
    return leaf;
  });
}

/** Errors: bad-input without a URL, or with one that cannot be read. */
async function coldTarget(to: string | undefined): Promise<Target> {
  const url = to ?? process.env["PARTWAY_COLD_URL"];
  if (url === undefined || url === "")
    throw badInput("it is not said where the cold server is", "Give --to <url>, or set PARTWAY_COLD_URL.");
  // What the URL leaves out is not the live server's: PG* of the environment speak of that one.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^PG(HOST|HOSTADDR|PORT|DATABASE|USER|PASSWORD)$/.test(name),
    ),
  );
  return resolveTarget({ url }, env);
}

async function onCold<T>(target: Target, work: (cold: Session) => Promise<T>): Promise<T> {
  const cold = await Session.open(target);
  try {
    return await work(cold);
  } finally {
    await cold.end();
  }
}

/** Every leaf is looked at before the first is moved. */
async function assertRoom(
  session: Session,
  cold: Session,
  table: CareTable,
  leaves: readonly CareLeaf[],
): Promise<string[]> {
  const known = (await coldRows(session, table.oid)).filter(({ cooledAt }) => cooledAt === null);
  const notes = new Set<string>();
  for (const { oid, schema, name } of leaves) {
    const ids = known.filter(({ leaf }) => leaf === oid).map(({ id }) => id);
    const columns = await readColumns(session, oid);
    for (const note of await assertTakes(session, cold, { schema, name, columns }, ids)) notes.add(note);
    for (const note of await ownNote(session, { oid, name })) notes.add(note);
  }
  return [...notes];
}

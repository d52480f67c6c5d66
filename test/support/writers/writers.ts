/**
 * Exact-ledger writers: an application that writes at full speed and knows exactly what its table must hold, whatever
 * the key, the partitioning and the kinds of transactions. Nothing here knows that a migration exists.
 */
import { setTimeout as delay } from "node:timers/promises";
import { AppConnection, Stopwatch } from "../../../src/demo/application.js";
import { Random } from "../../../src/demo/random.js";
import { SQLSTATE, sqlState } from "../../../src/pg/sqlstate.js";
import { voidOf, WritersClient } from "./client.js";
import { OwnRows } from "./rows.js";
import { createWrittenTable, type WrittenTable } from "./table.js";
import { type WritersOptions, WritersWorld } from "./world.js";

export interface WritersReport {
  commits: number;
  statements: number;
  errorCount: number;
  errors: { code: string; message: string }[];
  retries: Record<string, number>;
  counts: Record<string, number>;
  longestStallMs: number;
}

export interface LedgerComparison {
  equal: boolean;
  /** Rows in the table. */
  rows: number;
  /** Rows the ledger has and the table has not. */
  lost: number;
  /** Rows the table has and the ledger has not, second rows of one key included. */
  extra: number;
  changed: number;
  /** Up to 10 differences, for a person. */
  examples: string[];
}

export interface Writers {
  report(): WritersReport;
  /** Milliseconds between two transactions of a client; 0: full speed. */
  pace(ms: number): void;
  /** Lets every client finish its transaction and wait, compares every row and value, and lets them go on. */
  compare(): Promise<LedgerComparison>;
  /** TRUNCATE of the table, or of one of its leaves (when it has any), while the clients write. */
  truncate(what: "table" | "leaf"): Promise<"done" | "no leaf">;
  /** Cuts every connection, of a truncation too. */
  cut(): Promise<void>;
  /** Lets every client finish its transaction and closes the connections. May be called twice. */
  stop(): Promise<void>;
}

/** Creates the table of `options` in the database, empty of everything else. */
export async function createItems(
  url: string,
  table: WrittenTable,
  options: { rows: number; seed: number; longShare?: number; fillfactor?: number; nullable?: boolean },
): Promise<void> {
  await connected(url, (db) => createWrittenTable(db, table, options));
}

/** Deals the rows out to the clients and starts them. Nobody else may write to the table. */
export async function startWriters(options: WritersOptions): Promise<Writers> {
  const world = new WritersWorld(options);
  const clients = Array.from({ length: options.clients }, (_, i) => new WritersClient(world, i + 1));
  /** The rows at the ends of the leaves are nobody's: they stay, so that the plan has all its leaves. */
  const untouched = new OwnRows();
  const first = await connected(options.url, (db) => rowsOf(db, options.table));
  const ends = options.table.scheme.ends.length;
  first.forEach(({ key, image }, i) => {
    const owner = madeFrom(options.table, key) <= ends ? untouched : clients[i % clients.length]?.own;
    owner?.set(key, image);
  });
  try {
    for (const client of clients) await client.connect();
  } catch (error) {
    await Promise.all(clients.map((client) => client.end()));
    throw error;
  }
  const ended = Promise.all(clients.map((client) => client.run()));
  const ledgers = [untouched, ...clients.map((client) => client.own)];
  const random = new Random(options.seed + 77);
  let cutting: Promise<void> = Promise.resolve();
  return {
    report: () => ({
      ...{ commits: world.commits, statements: world.watch.statements, errorCount: world.errorCount },
      ...{ errors: [...world.errors], retries: { ...world.retries }, counts: { ...world.counts } },
      longestStallMs: world.watch.longestMs,
    }),
    pace: (ms) => {
      world.paceMs = ms;
    },
    compare: async () => {
      if (!world.stopping) await world.gate.close();
      const found = await compareNow(options.url, options.table, ledgers);
      world.gate.open();
      return found;
    },
    truncate: (what) => truncate(options.url, options.table, what, random),
    cut: () => {
      // One after the other: each would end the other's own connection.
      cutting = cutting.then(() => cutOnce(options.url));
      return cutting;
    },
    stop: async () => {
      world.stopping = true;
      world.gate.open();
      await ended;
    },
  };
}

async function cutOnce(url: string): Promise<void> {
  await connected(url, async (other) => {
    await other.query(
      "cut",
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()
         AND datname = current_database() AND application_name = 'partway demo writer'`,
    );
  });
}

/** The number that a key of the first rows was made from (shapes.ts). */
function madeFrom({ shape }: WrittenTable, key: string): number {
  return shape.name === "uuid" ? Number.parseInt(key.slice(0, 8), 16) : Number(/\d+$/.exec(key)?.[0]);
}

async function rowsOf(db: AppConnection, table: WrittenTable): Promise<{ key: string; image: string }[]> {
  const sql = `SELECT ${table.key} AS key, ${table.image} AS image FROM ${table.sql} AS t ORDER BY 1`;
  const { rows } = await db.query("rows", sql);
  return rows.map((row) => ({ key: row.key ?? "", image: row.image ?? "" }));
}

/** The table against the ledgers, row by row, on one snapshot taken under a lock. */
async function compareNow(
  url: string,
  table: WrittenTable,
  ledgers: readonly OwnRows[],
): Promise<LedgerComparison> {
  const rows = await connected(url, async (db) => {
    await db.control("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    await db.control(`LOCK TABLE ${table.sql} IN ACCESS SHARE MODE`);
    if (table.truncates) {
      const gens = await db.query(
        "gens",
        `SELECT n::text AS n, to_json(keys)::text AS keys FROM ${table.gen} ORDER BY n`,
      );
      for (const ledger of ledgers) ledger.apply(gens.rows.map(voidOf));
    }
    const all = await rowsOf(db, table);
    await db.control("COMMIT");
    return all;
  });
  const expected = new Map(ledgers.flatMap((ledger) => [...ledger.rows]));
  const found: LedgerComparison = {
    equal: true,
    rows: rows.length,
    lost: 0,
    extra: 0,
    changed: 0,
    examples: [],
  };
  const differs = (kind: "lost" | "extra" | "changed", key: string, must: string, is: string) => {
    found.equal = false;
    found[kind] += 1;
    if (found.examples.length < 10) found.examples.push(`${kind} key ${key}: must be ${must}, is ${is}`);
  };
  const actual = new Map<string, string[]>();
  for (const { key, image } of rows) actual.set(key, [...(actual.get(key) ?? []), image]);
  for (const [key, images] of actual) {
    const must = expected.get(key);
    const same = must === undefined ? -1 : images.indexOf(must);
    const others = images.filter((_, at) => at !== same);
    const changed = must !== undefined && same < 0 ? others.shift() : undefined;
    if (must !== undefined && changed !== undefined) differs("changed", key, must, changed);
    for (const image of others) differs("extra", key, must ?? "no row", image);
    expected.delete(key);
  }
  for (const [key, must] of expected) differs("lost", key, must, "no row");
  return found;
}

const LEAF = (table: WrittenTable) =>
  `SELECT inhrelid::regclass::text AS leaf FROM pg_inherits WHERE inhparent = '${table.sql}'::regclass`;

/**
 * One transaction that truncates and says so in the table of truncations; the exclusive lock comes first, so that no
 * transaction that asked that table before is still open. A deadlock is tried again, as an application would.
 */
async function truncate(
  url: string,
  table: WrittenTable,
  what: "table" | "leaf",
  random: Random,
): Promise<"done" | "no leaf"> {
  const next = `(SELECT coalesce(max(n), 0) + 1 FROM ${table.gen})`;
  const once = async (db: AppConnection): Promise<"done" | "no leaf"> => {
    await db.control("BEGIN");
    if (what === "table") {
      await db.control(`TRUNCATE ${table.sql}`);
      await db.control(`INSERT INTO ${table.gen} SELECT ${next}, NULL`);
      return "done";
    }
    const leaves = (await db.query("leaves", LEAF(table))).rows;
    const leaf = leaves[random.below(leaves.length)]?.leaf;
    if (leaf == null) return "no leaf";
    await db.control(`LOCK TABLE ${leaf} IN ACCESS EXCLUSIVE MODE`);
    // A rollback meanwhile has made it a leaf of the failed table.
    const still = await db.query("still", `SELECT leaf FROM (${LEAF(table)}) AS x WHERE leaf = $1`, [leaf]);
    if (still.count === 0) return "no leaf";
    await db.control(
      `INSERT INTO ${table.gen} SELECT ${next}, coalesce(array_agg(${table.key}), '{}') FROM ${leaf} AS t`,
    );
    await db.control(`TRUNCATE ${leaf}`);
    return "done";
  };
  return connected(url, async (db) => {
    for (;;) {
      try {
        const done = await once(db);
        await db.control("COMMIT");
        return done;
      } catch (error) {
        await db.control("ROLLBACK");
        // The leaf's name went with a rollback.
        if (sqlState(error) === SQLSTATE.undefinedTable) return "no leaf";
        if (sqlState(error) !== SQLSTATE.deadlockDetected) throw error;
        await delay(20);
      }
    }
  });
}

/** Runs `work` on a connection of its own. */
async function connected<T>(url: string, work: (db: AppConnection) => Promise<T>): Promise<T> {
  const db = new AppConnection(url, new Stopwatch(), false);
  await db.connect();
  try {
    return await work(db);
  } finally {
    await db.end();
  }
}

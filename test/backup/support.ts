/** A table with everything that is hard to back up, its plan, and a context to run the phase in. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { makeBackup } from "../../src/backup/make.js";
import { Manifest } from "../../src/backup/manifest.js";
import { findTools, type Tools, toolDirs } from "../../src/backup/tools.js";
import { readTable } from "../../src/catalog/read.js";
import { parseThrottle } from "../../src/config/throttle.js";
import { PartwayError } from "../../src/errors.js";
import type { Lease } from "../../src/pg/lease.js";
import { ident, qualified } from "../../src/pg/quote.js";
import { Session } from "../../src/pg/session.js";
import type { PhaseContext } from "../../src/phases/phase.js";
import { makePlan } from "../../src/plan/index.js";
import type { Plan } from "../../src/plan/types.js";
import type { RunEventBody } from "../../state/events.js";
import { freshDatabase, type TestDatabase, targetOf } from "../support/database.js";

export const RICH = { schema: 'Odd "Schema"', name: 'Order; Lines" FROM stdin;' };
export const RICH_TABLE = qualified(RICH.schema, RICH.name);
/** Quotes, a line end, and what a careless reader would take for the end of a COPY statement. */
const ODD_COLUMN = 'na"me\n) FROM stdin;\n\\.\nx';

/** Types first, so that a test can make them alone in another database. */
export const RICH_TYPES = [
  "CREATE TYPE public.mood AS ENUM ('sad', 'ok', 'happy')",
  "CREATE DOMAIN public.feeling AS public.mood",
  "CREATE TYPE public.pair AS (n numeric, m public.mood)",
];

export const RICH_DDL = [
  `CREATE SCHEMA ${ident(RICH.schema)}`,
  `CREATE TABLE ${RICH_TABLE} (
     id bigint GENERATED ALWAYS AS IDENTITY (START WITH 100) PRIMARY KEY,
     gone text,
     ${ident(ODD_COLUMN)} text COLLATE "C",
     serial_no bigserial,
     amount numeric(12,4), free numeric, f8 float8, f4 real,
     at timestamptz NOT NULL DEFAULT now(), span interval, tz timetz,
     bin bytea, doc jsonb, raw json, tags text[], grid int[], moods public.mood[],
     mood public.mood, feeling public.feeling, pair public.pair, pairs public.pair[],
     r numrange, mr int4multirange, net inet, bits bit(5), p path, pt point, x xml, ts tsvector, ch char(5), bp bpchar,
     oidname regclass, flag boolean DEFAULT true,
     twice bigint GENERATED ALWAYS AS (id * 2) STORED,
     CONSTRAINT "amount; is small" CHECK (amount < 1e8))`,
  `ALTER TABLE ${RICH_TABLE} DROP COLUMN gone`,
];

const RICH_ROWS = [
  `INSERT INTO ${RICH_TABLE} DEFAULT VALUES`,
  `INSERT INTO ${RICH_TABLE} (${ident(ODD_COLUMN)}, amount, free, f8, f4, at, span, tz, bin, doc, raw, tags, grid, moods, mood,
     feeling, pair, pairs, r, mr, net, bits, p, pt, x, ts, ch, bp, oidname, flag)
   SELECT CASE i % 9 WHEN 0 THEN E'back\\\\slash \\\\. \\\\N \\t tab' WHEN 1 THEN E'line\\nend\\r\\n' WHEN 2 THEN '' WHEN 3 THEN NULL
                     WHEN 4 THEN E'\\\\.' WHEN 5 THEN E'\\n\\\\.\\n' WHEN 6 THEN 'Grüße 你好 😀' WHEN 7 THEN E'\\b\\f\\v\\x01\\x7f'
                     ELSE repeat('long ', 2000) END,
          i / 3.0, (ARRAY['NaN', '1.0', '1.00', '-0', 'Infinity', '1e-20', '9e99'])[i % 7 + 1]::numeric,
          (ARRAY['-0', 'NaN', '-Infinity', '0.1', '1e308', '5e-324'])[i % 6 + 1]::float8, (i / 7.0)::real,
          timestamptz '1999-12-31 23:59:59.123456+00' + i * interval '1 day 1 microsecond',
          (ARRAY['1 day', '24 hours', '1 month -1 day', '-00:00:00.000001'])[i % 4 + 1]::interval, '12:34:56.789+05:30',
          decode(repeat(lpad(to_hex(i % 256), 2, '0'), i % 50), 'hex'),
          jsonb_build_object('k"\\', i, 'n', NULL, 'num', 1.10), '{"a":  1, "a": 2.0}',
          ARRAY['a,b', NULL, '', 'q"\\', E'\\n'], '[2:3][0:1]={{1,2},{3,NULL}}', '{sad,happy,NULL}',
          (ARRAY['sad', 'ok', NULL])[i % 3 + 1]::public.mood, 'ok', '(1.50,happy)', '{"(,)","(1.0,sad)"}',
          numrange(1.0, 2.50), '{[1,3),[7,9)}', '10.0.0.1/8', B'10101', '((1,2),(3,4))', '(1,-0)', '<a>&amp;</a> tail',
          'a:1 b:2A', 'ab ', 'ab ', 'pg_catalog.pg_class', i % 2 = 0
     FROM generate_series(1, 5000) AS i`,
];

/** Makes the table and its 5001 rows in the session's database. */
export async function makeRichTable(session: Session): Promise<void> {
  for (const statement of [...RICH_TYPES, ...RICH_DDL, ...RICH_ROWS]) await session.query(statement);
}

/** A plan for `table` (as typed). Refusals do not matter to a backup. */
export async function planFor(session: Session, table: string, column = "id"): Promise<Plan> {
  return makePlan({
    table: await readTable(session, table),
    survey: {
      now: "2026-01-01T00:00:00Z",
      min: null,
      max: null,
      nullRows: false,
      infiniteRows: false,
      distinct: [],
      sample: { values: [], fraction: 1 },
      rows: 0,
    },
    request: {
      table,
      scheme: { kind: "hash", column, modulus: 2 },
      ahead: 0,
      leafTemplate: "{table}_{n}",
      keepSeconds: 86_400,
      keyIndex: null,
    },
    fingerprint: { lines: [] },
    id: "orders_3f9a1c",
    nonce: "n",
  });
}

/** A database and a directory for each test; `release` closes what the phase opened. */
export function workshop() {
  let db: TestDatabase;
  let dir = "";
  beforeEach(async () => {
    db = await freshDatabase();
    dir = await mkdtemp(join(tmpdir(), "partway-backup-"));
  });
  afterEach(async () => {
    await rm(dir, { recursive: true, force: true });
    await db.drop();
  });
  return {
    db: () => db,
    dir: () => dir,
    target: () => targetOf(db.ownerUrl),
  };
}

export interface Bench {
  context: PhaseContext;
  events: RunEventBody[];
  abort: AbortController;
  /** Closes the sessions that the phase opened, as the orchestrator does. */
  close(): Promise<void>;
}

/** A context as the orchestrator would give it; the lease refuses: a backup writes nothing to the database. */
export function bench(plan: Plan, url: string, backupDir: string | null): Bench {
  const events: RunEventBody[] = [];
  const opened: Session[] = [];
  const abort = new AbortController();
  const target = targetOf(url);
  const refuse = async (): Promise<never> => {
    throw new Error("a backup must not write to the database");
  };
  const lease: Lease = { migration: plan.id, epoch: "1", tx: refuse, check: refuse };
  const ignore = () => undefined;
  const context: PhaseContext = {
    plan,
    target,
    lease,
    settings: {
      workers: 2,
      workersWhy: null,
      batchBlocks: 8192,
      batchTimeMs: 0,
      lockTimeoutMs: 100,
      lockTimeoutMaxMs: 1000,
      lockTries: 3,
      holdBudgetMs: 1000,
      backupDir,
      repair: false,
      smoke: [],
      smokeFailure: "report",
      queries: [],
      forceDrop: false,
      hooks: [],
      hookTimeoutMs: 60_000,
      onHangup: "stop",
      throttle: parseThrottle({}),
      rehearse: null,
    },
    open: async () => {
      const session = await Session.open(target);
      opened.push(session);
      return session;
    },
    record: { batch: ignore, indexBuilt: ignore, validation: ignore, cutover: ignore, measurement: ignore },
    emit: (event) => events.push(event),
    signal: abort.signal,
    gate: async () => abort.signal.throwIfAborted(),
    heavy: async () => abort.signal.throwIfAborted(),
    follower: async () => abort.signal.throwIfAborted(),
  };
  return {
    context,
    events,
    abort,
    close: async () => {
      for (const session of opened) await session.end();
    },
  };
}

export type Method = "pg_dump" | "copy";

/** The ways this machine can back up a server of this version; `copy` always. */
export async function methods(version: string): Promise<Method[]> {
  return (await toolsFor(version)) === null ? ["copy"] : ["pg_dump", "copy"];
}

export async function toolsFor(version: string): Promise<Tools | null> {
  return findTools(Number(version), await toolDirs());
}

/** A backup of `plan` by `method` in `dir`. */
export async function backupBy(method: Method, plan: Plan, url: string, dir: string): Promise<Manifest> {
  const { context, close } = bench(plan, url, dir);
  try {
    return await makeBackup({
      plan,
      dir,
      target: context.target,
      tools:
        method === "copy" ? null : await toolsFor(String(Math.floor(plan.source.serverVersion / 10_000))),
      signal: context.signal,
      open: context.open,
      emit: context.emit,
    });
  } finally {
    await close();
  }
}

export async function manifestOf(dir: string): Promise<Manifest> {
  return Manifest.parse(JSON.parse(await readFile(join(dir, "manifest.json"), "utf8")));
}

export async function changeManifest(dir: string, change: Partial<Manifest>): Promise<void> {
  const manifest = { ...(await manifestOf(dir)), ...change };
  await writeFile(join(dir, "manifest.json"), JSON.stringify(manifest));
}

/** Turns sixteen bytes over in the middle of a file: one bit alone can still be read as the same rows by gzip. */
export async function plantByte(path: string): Promise<void> {
  const bytes = await readFile(path);
  const from = Math.floor(bytes.length / 2);
  for (let at = from; at < from + 16; at += 1) bytes[at] = (bytes[at] ?? 0) ^ 0xff;
  await writeFile(path, bytes);
}

/** The PartwayError that `work` ends with; fails when it ends well or with anything else. */
export async function faultOf(work: Promise<unknown>): Promise<PartwayError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof PartwayError) return error;
    throw error;
  }
  throw new Error("it ended without an error");
}

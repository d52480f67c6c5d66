/** Where each table of the configuration stands: the database is asked, then the journal what it knows besides. */
import { z } from "zod";
import type { Journal } from "../../state/journal.js";
import type { MigrationRecord } from "../../state/journal-rows.js";
import type { Working } from "../../state/machine.js";
import { resolveTable } from "../catalog/resolve.js";
import { reconcile } from "../engine/reconcile.js";
import { positionOf, readPlan } from "../engine/stored-plan.js";
import { badInput, PartwayError } from "../errors.js";
import type { Session } from "../pg/session.js";
import { describeTarget, type Target } from "../pg/target.js";
import { StorePhase, storeExists } from "../sync/store.js";

export type Standing =
  /** Ordinary, and nothing of Partway is on it. */
  | { kind: "new" }
  /** Somewhere before the end of its cutover. */
  | { kind: "open"; record: MigrationRecord; from: Working }
  /** The application is on the partitioned table. `id` is null when it was partitioned otherwise, or long ago. */
  | { kind: "migrated"; id: string | null; window: boolean }
  /** A rollback or an abort has begun. */
  | { kind: "undoing"; id: string; command: "rollback" | "abort" }
  /** The database has a migration of it that this journal has not. */
  | { kind: "lost"; id: string };

export interface Placed {
  /** `schema.name`, for people. */
  shown: string;
  oid: string;
  standing: Standing;
}

const Relation = z.object({ schema: z.string(), name: z.string(), kind: z.string() });
const RELATION = /*sql*/ `
SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid`;

const Stored = z.object({ id: z.string(), phase: StorePhase });
/** Before cutover the name leads to the source, afterwards to the new table. */
const STORED = /*sql*/ `SELECT id, phase FROM partway.migration WHERE $1::oid IN (source_oid, shadow_oid)`;

/**
 * Where the table called `name` stands. Reads only. `journal`: null where there is none. Errors: bad-input when there
 * is no such table.
 */
export async function placeOf(
  session: Session,
  target: Target,
  journal: Journal | null,
  name: string,
): Promise<Placed> {
  return session.tx(
    async () => {
      const oid = await resolveTable(session, name);
      const relation = await session.maybe(Relation, RELATION, [oid]);
      if (relation === null)
        throw badInput(`${name} was dropped while it was looked up`, "Run the same command again.");
      const stored = (await storeExists(session)) ? await session.maybe(Stored, STORED, [oid]) : null;
      const shown = `${relation.schema}.${relation.name}`;
      const known = (journal?.migrations() ?? []).filter(
        (record) => record.table === shown && record.server === describeTarget(target),
      );
      const standing =
        stored === null
          ? withoutRow(known, oid, relation.kind === "p")
          : withRow(stored, journal?.migration(stored.id) ?? null);
      return { shown, oid, standing };
    },
    { isolation: "repeatable read", readOnly: true },
  );
}

function withoutRow(known: readonly MigrationRecord[], oid: string, partitioned: boolean): Standing {
  if (partitioned) {
    const done = known.find(({ outcome }) => outcome === "done");
    return { kind: "migrated", id: done?.id ?? null, window: false };
  }
  // A process that died between its journal and its row in the database.
  const begun = known.find((record) => record.state === "backup" && readPlan(record).source.oid === oid);
  return begun === undefined ? { kind: "new" } : { kind: "open", record: begun, from: "backup" };
}

function withRow({ id, phase }: z.output<typeof Stored>, record: MigrationRecord | null): Standing {
  const from = record === null ? null : reconcile(positionOf(record), phase);
  const window = phase === "retain";
  if (record === null || from === null)
    return window || phase === "drop" ? { kind: "migrated", id, window } : { kind: "lost", id };
  switch (from) {
    case "retain":
    case "drop":
      return { kind: "migrated", id, window };
    case "rollback":
    case "abort":
      return { kind: "undoing", id, command: from };
    case "ended":
    case "unknown":
      throw new Error(`${id} has a row in the database, and is ${from}`);
    default:
      return { kind: "open", record, from };
  }
}

/** Why `run --all` does not go on with a table where it stands; null when it does, or need not. */
export function hindrance({ shown, standing }: Placed): PartwayError | null {
  const refused = (what: string, next: string) =>
    new PartwayError("refused", { what, state: "Nothing was touched.", next });
  switch (standing.kind) {
    case "undoing":
      return refused(
        `${shown} is being taken back: ${standing.command} of migration ${standing.id} has begun`,
        `partway ${standing.command} ${standing.id}, then partway run --all begins anew with it`,
      );
    case "lost":
      return refused(
        `${shown} belongs to migration ${standing.id}, which this journal does not have`,
        `--state <the directory it was started in>; if that is lost: partway recover ${standing.id}`,
      );
    case "new":
    case "open":
    case "migrated":
      return null;
  }
}

/** `partway grants`: what a role needs to migrate a table as it stands, or to look after a partitioned one, as SQL. Part of the programmatic interface. */
import { type ConnectOptions, targetOf, withSession } from "./api.js";
import { readCareTable } from "./care/table.js";
import { type GrantFacts, type Purpose, readGrantFacts } from "./catalog/owners.js";
import { resolveTable } from "./catalog/resolve.js";
import { readWalRights } from "./catalog/wal.js";
import { loadConfig } from "./config/load.js";
import { explainUntouched } from "./engine/faults.js";
import { badInput } from "./errors.js";
import { orderOf } from "./many/order.js";
import type { Session } from "./pg/session.js";
import { type Grant, grantsFor } from "./plan/grants.js";
import { walGrants } from "./plan/wal-grants.js";

export interface GrantsOptions extends ConnectOptions {
  /** Left out: the tables of the configuration file. */
  table?: string | undefined;
  config?: string | undefined;
  /** Default: the connected role. It need not exist. */
  role?: string | undefined;
  /** As for a run; default: what the configuration file says of the table, where it lists them. `wal` asks for more. */
  capture?: string | undefined;
  /** Only what the role does not have yet. */
  missing?: boolean | undefined;
  /** To look after a partitioned table (adopt, maintain, health); else to migrate a table. */
  maintenance?: boolean | undefined;
}

export interface RoleScript {
  purpose: Purpose;
  role: string;
  exists: boolean;
  superuser: boolean;
  database: string;
  /** `schema.name`. */
  tables: string[];
  /** In an order in which they can be run; the same statement once. */
  grants: Grant[];
}

/** Reads only. Errors: bad-input when there is no such table, or neither a table nor a configuration file. */
export async function grants(options: GrantsOptions): Promise<RoleScript> {
  const { maintenance = false } = options;
  const purpose = maintenance ? "maintain" : "migrate";
  const { capture } = options;
  if (capture !== undefined && capture !== "trigger" && capture !== "wal")
    throw badInput(`--capture: "${capture}" is no choice`, "Choose trigger or wal.");
  if (maintenance && capture !== undefined)
    throw badInput(
      "--capture is a migration's, and --maintenance is not about one",
      "Leave one of them out.",
    );
  const tables: Listed[] =
    options.table === undefined ? await listed(options.config, purpose) : [{ name: options.table }];
  const target = await targetOf(options);
  try {
    return await withSession(target, (session) =>
      session.tx(
        async () => {
          const facts: GrantFacts[] = [];
          const more: Grant[] = [];
          for (const { name, ...table } of tables) {
            const oid = await resolveTable(session, name);
            // Says so where it is not a partitioned one.
            if (maintenance) await readCareTable(session, { oid });
            const found = await readGrantFacts(session, oid, options.role ?? null, purpose);
            facts.push(found);
            if ((capture ?? table.capture) === "wal") more.push(...(await forWal(session, found)));
          }
          return scriptOf(facts, more, options.missing === true);
        },
        { isolation: "repeatable read", readOnly: true },
      ),
    );
  } catch (error) {
    throw explainUntouched(error);
  }
}

/** What `--capture wal` asks for beside the rest. */
async function forWal(session: Session, { role, exists, superuser, database }: GrantFacts): Promise<Grant[]> {
  if (superuser) return [];
  const granted = await readWalRights(session, "public");
  return walGrants({ role, database, granted, now: exists ? await readWalRights(session, role) : granted });
}

type Listed = { name: string; capture?: "trigger" | "wal" | undefined };

async function listed(file: string | undefined, purpose: Purpose): Promise<Listed[]> {
  const loaded = await loadConfig({ cwd: process.cwd(), ...(file === undefined ? {} : { file }) });
  if (purpose === "maintain") {
    const names = Object.keys(loaded.config.partitions);
    if (names.length > 0) return names.map((name) => ({ name }));
    throw badInput(
      "no table is named, and the configuration file has no partitions",
      "Name one: partway grants orders --maintenance",
    );
  }
  return orderOf(loaded.config, loaded.file).tables.map(({ name }) => ({
    name,
    capture: loaded.config.tables[name]?.capture,
  }));
}

function scriptOf(facts: readonly GrantFacts[], more: readonly Grant[], missingOnly: boolean): RoleScript {
  const [first] = facts;
  if (first === undefined) throw new Error("no table was asked for");
  const all = [...facts.flatMap(grantsFor), ...more].filter(({ missing }) => missing || !missingOnly);
  return {
    purpose: first.purpose,
    role: first.role,
    exists: first.exists,
    superuser: first.superuser,
    database: first.database,
    tables: facts.map(({ schema, name }) => `${schema}.${name}`),
    grants: all.filter(({ sql }, at) => all.findIndex((other) => other.sql === sql) === at),
  };
}

/** `partway grants`: what a role needs to migrate a table as it stands, as SQL. Part of the programmatic interface. */
import { type ConnectOptions, targetOf, withSession } from "./api.js";
import { type GrantFacts, readGrantFacts } from "./catalog/owners.js";
import { resolveTable } from "./catalog/resolve.js";
import { loadConfig } from "./config/load.js";
import { explainUntouched } from "./engine/faults.js";
import { orderOf } from "./many/order.js";
import { type Grant, grantsFor } from "./plan/grants.js";

export interface GrantsOptions extends ConnectOptions {
  /** Left out: the tables of the configuration file. */
  table?: string | undefined;
  config?: string | undefined;
  /** Default: the connected role. It need not exist. */
  role?: string | undefined;
  /** Only what the role does not have yet. */
  missing?: boolean | undefined;
}

export interface RoleScript {
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
  const names = options.table === undefined ? await listed(options.config) : [options.table];
  const target = await targetOf(options);
  try {
    return await withSession(target, (session) =>
      session.tx(
        async () => {
          const facts: GrantFacts[] = [];
          for (const name of names)
            facts.push(
              await readGrantFacts(session, await resolveTable(session, name), options.role ?? null),
            );
          return scriptOf(facts, options.missing === true);
        },
        { isolation: "repeatable read", readOnly: true },
      ),
    );
  } catch (error) {
    throw explainUntouched(error);
  }
}

async function listed(file: string | undefined): Promise<string[]> {
  const loaded = await loadConfig({ cwd: process.cwd(), ...(file === undefined ? {} : { file }) });
  return orderOf(loaded.config, loaded.file).tables.map(({ name }) => name);
}

function scriptOf(facts: readonly GrantFacts[], missingOnly: boolean): RoleScript {
  const [first] = facts;
  if (first === undefined) throw new Error("no table was asked for");
  const all = facts.flatMap(grantsFor).filter(({ missing }) => missing || !missingOnly);
  return {
    role: first.role,
    exists: first.exists,
    superuser: first.superuser,
    database: first.database,
    tables: facts.map(({ schema, name }) => `${schema}.${name}`),
    grants: all.filter(({ sql }, at) => all.findIndex((other) => other.sql === sql) === at),
  };
}

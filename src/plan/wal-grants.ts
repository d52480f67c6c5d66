/** What a role needs for `--capture wal` beside the rest: for `partway grants`, and what the plan refuses without. Pure. */
import { ident } from "../pg/quote.js";
import type { Grant } from "./grants.js";
import type { WalRights } from "./types.js";

/** Who it is for, and where. `granted`: what PUBLIC has already, and need not be given. */
export interface WalGrantee {
  role: string;
  database: string;
  now: WalRights;
  granted: WalRights;
}

/** In an order in which they can be run. */
export function walGrants({ role, database, now, granted }: WalGrantee): Grant[] {
  const onDatabase = (right: string) => `GRANT ${right} ON DATABASE ${ident(database)} TO ${ident(role)};`;
  const all: [isGranted: boolean, grant: Grant][] = [
    [
      granted.mayReplicate,
      {
        code: "no-replication-right",
        sql: `ALTER ROLE ${ident(role)} REPLICATION;`,
        what: `role ${ident(role)} may not make replication slots`,
        why: "PostgreSQL gives that to superusers and to roles with REPLICATION.",
        missing: !now.mayReplicate,
      },
    ],
    [
      granted.mayPublish,
      {
        code: "no-publication-right",
        sql: onDatabase("CREATE"),
        what: `role ${ident(role)} may not make a publication in this database`,
        why: "A publication takes CREATE on the database.",
        missing: !now.mayPublish,
      },
    ],
    [
      granted.mayMakeTemporary,
      {
        code: "no-temporary-right",
        sql: onDatabase("TEMPORARY"),
        what: `role ${ident(role)} may not make temporary tables in this database`,
        why: "A comparison keeps in one what was changed while it ran.",
        missing: !now.mayMakeTemporary,
      },
    ],
  ];
  return all.flatMap(([isGranted, grant]) => (isGranted ? [] : [grant]));
}

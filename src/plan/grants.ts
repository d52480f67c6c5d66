/** The statements that give a role what a migration or maintenance asks for: the script of `partway grants`, and what the plan refuses without. Pure. */
import { type AlteredInfo, byOwner, type GrantFacts, type Powers, type Purpose } from "../catalog/owners.js";
import { ident, qualified } from "../pg/quote.js";

export interface Grant {
  code:
    | "role-noinherit"
    | "not-owner"
    | "no-create-in-schema"
    | "owner-without-rights"
    | "forced-row-security"
    | "no-create-in-database"
    | "partway-schema-foreign"
    | "foreign-owner"
    | "no-right-on-foreign"
    | "no-right-in-foreign-schema"
    | "no-replication-right"
    | "no-publication-right"
    | "no-temporary-right";
  /** One statement, with its semicolon. */
  sql: string;
  /** What is lacking without it, one sentence. */
  what: string;
  why: string;
  /** Another way to the same, where there is one. */
  or?: string;
  missing: boolean;
}

const WHY: Record<AlteredInfo["kind"], string> = {
  "child-table": "has a foreign key to the table",
  "parent-table": "is referenced by the table",
  "policy-table": "has a policy that reads the table",
  view: "reads the table",
  function: "reads the table",
  publication: "publishes the table",
  statistics: "are the table's extended statistics",
  "trigger-function": "is what a trigger of the table calls",
  ledger: "holds what other migrations have recorded",
  leaf: "is a partition of the table",
  "care-table": "keeps the policies and notes of the care",
  tablespace: "is where partitions of the table are",
};

/**
 * Everything `facts.role` needs that PUBLIC has not, in an order in which it can be run; none of it for a superuser.
 * `missing` is what it lacks as it is. No statement is there that another one makes needless.
 */
export function grantsFor(facts: GrantFacts): Grant[] {
  if (facts.superuser) return [];
  const owners = ownersOf(facts);
  return [
    ...inheriting(facts, owners.length > 0),
    ...owners.map((owner) => membership(facts, owner)),
    ...ofTable(facts),
    ...ofDatabase(facts),
    ...ofObjects(facts),
    ...ofSchemas(facts),
  ];
}

interface OwnedBy {
  owner: string;
  isSuperuser: boolean;
  ofTable: boolean;
  objects: AlteredInfo[];
}

/** Whose rights it needs by membership: the table's owner first, then those of what is altered with it. */
function ownersOf({ owner, ownerIsSuperuser, role, now }: GrantFacts): OwnedBy[] {
  const found = new Map<string, OwnedBy>([
    [owner, { owner, isSuperuser: ownerIsSuperuser, ofTable: true, objects: [] }],
  ]);
  for (const object of now.altered.filter(({ kind }) => byOwner(kind))) {
    const { owner: name, ownerIsSuperuser: isSuperuser } = object;
    const entry = found.get(name) ?? { owner: name, isSuperuser, ofTable: false, objects: [] };
    entry.objects.push(object);
    found.set(name, entry);
  }
  return [...found.values()].filter((entry) => entry.owner !== role);
}

/** Before 16 NOINHERIT is the role's, not the membership's. */
function inheriting({ role, inherits, serverVersion }: GrantFacts, anyMembership: boolean): Grant[] {
  if (inherits || serverVersion >= 160_000 || !anyMembership) return [];
  return [
    {
      code: "role-noinherit",
      sql: `ALTER ROLE ${ident(role)} INHERIT;`,
      what: `role ${role} is NOINHERIT: it does not have the rights of the roles it is a member of`,
      why: "Partway works with the owner's rights, without SET ROLE.",
      missing: true,
    },
  ];
}

function membership(facts: GrantFacts, { owner, isSuperuser, ofTable, objects }: OwnedBy): Grant {
  const { role, now, schema, name } = facts;
  const has = (ofTable ? now.owns : true) && objects.every((object) => heldBy(now, object));
  // Granted already in a way that does not do, or to a role that would not inherit it.
  const half = !facts.inherits || (!has && facts.memberOf.includes(owner));
  const options = half && facts.serverVersion >= 160_000 ? " WITH INHERIT TRUE, SET TRUE" : "";
  const owned = [
    ...(ofTable ? [`${schema}.${name}`] : []),
    ...objects.map((object) => `${object.kind.replaceAll("-", " ")} ${object.name}`),
  ];
  return {
    code: ofTable ? "not-owner" : "foreign-owner",
    sql: `GRANT ${ident(owner)} TO ${ident(role)}${options};`,
    what: `role ${role} is not a member of ${owner}, which owns ${few(owned)}`,
    why: ofTable ? OWNERS[facts.purpose] : `${reasons(objects)}; ${ALTERED[facts.purpose]}`,
    ...(isSuperuser
      ? {
          or: `${owner} is a superuser: give the object to another role (ALTER ... OWNER TO), and grant that one`,
        }
      : {}),
    missing: !has,
  };
}

const OWNERS: Record<Purpose, string> = {
  migrate: "Only the owner may rename the table and make triggers on it that always fire.",
  maintain: "Only the owner may attach and detach partitions, and analyze the table.",
};
const ALTERED: Record<Purpose, string> = {
  migrate: "it is altered at the cutover, and only its owner may do that.",
  maintain: "it is analyzed, detached and dropped when its time has come, and only its owner may do that.",
};

function reasons(objects: readonly AlteredInfo[]): string {
  return few(objects.map(({ name, kind }) => `${name} ${WHY[kind]}`));
}

/** A table may have a thousand partitions. */
function few(names: readonly string[]): string {
  return names.length <= 6
    ? names.join(", ")
    : `${names.slice(0, 5).join(", ")} and ${names.length - 5} more`;
}

function heldBy(powers: Powers, wanted: AlteredInfo): boolean {
  return powers.altered.some(
    ({ kind, name, member }) => member && kind === wanted.kind && name === wanted.name,
  );
}

/** What the table's owner must have: the new table is made for it, in its schema. */
function ofTable(facts: GrantFacts): Grant[] {
  const { owner, schema, name, role } = facts;
  const grants: Grant[] = [];
  // Its members have it from the owner; a superuser's powers they do not have.
  const maker = facts.ownerIsSuperuser ? role : owner;
  if (facts.ownerIsSuperuser ? !facts.granted.createInSchema : !facts.ownerCreates)
    grants.push({
      code: "no-create-in-schema",
      sql: `GRANT USAGE, CREATE ON SCHEMA ${ident(schema)} TO ${ident(maker)};`,
      what: `role ${maker} may not create tables in schema ${schema}`,
      why:
        facts.purpose === "migrate"
          ? `The partitioned table is built in the schema of the source, for the same owner, ${owner}.`
          : `New partitions are made in the schema of the others, for the same owner, ${owner}.`,
      missing: !facts.ownerIsSuperuser || !facts.now.createInSchema,
    });
  if (facts.ownerLacks.length > 0)
    grants.push({
      code: "owner-without-rights",
      sql: `GRANT ${facts.ownerLacks.join(", ")} ON ${qualified(schema, name)} TO ${ident(owner)};`,
      what: `the owner ${owner} has no right to ${facts.ownerLacks.join(", ")} on its own table ${schema}.${name}`,
      why: "Partway works with the owner's rights, and both sides have the same rights.",
      missing: true,
    });
  if (facts.forcedRowSecurity)
    grants.push({
      code: "forced-row-security",
      sql: `ALTER ROLE ${ident(role)} BYPASSRLS;`,
      what: `row-level security of ${schema}.${name} is forced on its owner, and ${role} may not bypass it`,
      why: "What is read under policies would leave out rows in silence.",
      or: `for that time: ALTER TABLE ${qualified(schema, name)} NO FORCE ROW LEVEL SECURITY;`,
      missing: !facts.bypassesRowSecurity,
    });
  return grants;
}

/** The ledger and the change logs are kept in schema partway, beside the data. */
function ofDatabase({ role, database, now, granted, purpose }: GrantFacts): Grant[] {
  const why =
    purpose === "migrate"
      ? "The ledger and the change log are kept there, beside the data."
      : "Policies, and what was done and told, are kept there.";
  if (granted.partwaySchema === null) {
    if (granted.createInDatabase) return [];
    return [
      {
        code: "no-create-in-database",
        sql: `GRANT CREATE ON DATABASE ${ident(database)} TO ${ident(role)};`,
        what: `role ${role} may not create schema partway in database ${database}`,
        why,
        or: `CREATE SCHEMA partway AUTHORIZATION ${ident(role)};`,
        missing: !now.createInDatabase,
      },
    ];
  }
  if (granted.partwaySchema) return [];
  return [
    {
      code: "partway-schema-foreign",
      sql: `GRANT USAGE, CREATE ON SCHEMA partway TO ${ident(role)};`,
      what: `schema partway exists and role ${role} may not create in it`,
      why,
      or: `ALTER SCHEMA partway OWNER TO ${ident(role)};`,
      missing: now.partwaySchema !== true,
    },
  ];
}

/** Rights on objects that are used, not altered. */
function ofObjects({ role, now, granted, purpose }: GrantFacts): Grant[] {
  return granted.altered
    .filter(({ lacking }) => lacking.length > 0)
    .map(({ kind, name, lacking }): Grant => {
      const has = now.altered.find((other) => other.kind === kind && other.name === name);
      const on =
        kind === "trigger-function"
          ? `FUNCTION ${name}`
          : kind === "tablespace"
            ? `TABLESPACE ${name}`
            : name;
      return {
        code: "no-right-on-foreign",
        sql: `GRANT ${lacking.join(", ")} ON ${on} TO ${ident(role)};`,
        what: `role ${role} has no right to ${lacking.join(", ")} on ${name}`,
        why: `${name} ${WHY[kind]}: ${USED[purpose][kind] ?? "it is used"}.`,
        missing: has === undefined || lacking.some((right) => has.lacking.includes(right)),
      };
    });
}

const USED: Record<Purpose, Partial<Record<AlteredInfo["kind"], string>>> = {
  migrate: {
    "parent-table":
      "the foreign key is made again on the new table (REFERENCES), and the referenced table is locked meanwhile",
    "trigger-function": "the trigger is made again on the new table",
  },
  maintain: {
    "trigger-function": "each new partition gets the trigger",
    "care-table": "each run reads and writes it",
    tablespace: "new partitions are made there",
  },
};

/** Replacing a view, a function or statistics asks for CREATE in their schema, naming anything for USAGE. */
const REPLACED: readonly AlteredInfo["kind"][] = ["view", "function", "statistics", "leaf"];

function ofSchemas({ role, owner, ownerIsSuperuser, schema: own, now, granted }: GrantFacts): Grant[] {
  // What the table's owner may do in its schema, its members may; the ledger's is partway, and granted above.
  const elsewhere = granted.altered.filter(
    ({ schema, kind }) => schema !== null && schema !== own && kind !== "ledger" && kind !== "care-table",
  );
  const schemas = [...new Set(elsewhere.map(({ schema }) => schema ?? ""))];
  return schemas.flatMap((schema): Grant[] => {
    const objects = elsewhere.filter((object) => object.schema === schema);
    const given = objects.filter(({ kind }) => kind === "statistics" || kind === "leaf");
    if (!ownerIsSuperuser && given.some(({ tableOwnerCreates }) => !tableOwnerCreates))
      return [schemaGrant(schema, owner, ["USAGE", "CREATE"], given, true)];
    const replaced = objects.filter(({ kind }) => REPLACED.includes(kind));
    const lacking = {
      USAGE: objects.some(({ usage }) => !usage),
      CREATE: replaced.some(({ create }) => !create),
    };
    const rights = (["USAGE", "CREATE"] as const).filter((right) => lacking[right]);
    if (rights.length === 0) return [];
    const has = now.altered.find((object) => object.schema === schema);
    const missing = has === undefined || (lacking.USAGE && !has.usage) || (lacking.CREATE && !has.create);
    return [schemaGrant(schema, role, rights, lacking.CREATE ? replaced : objects, missing)];
  });
}

function schemaGrant(
  schema: string,
  grantee: string,
  rights: readonly string[],
  objects: readonly AlteredInfo[],
  missing: boolean,
): Grant {
  const creates = rights.includes("CREATE");
  return {
    code: "no-right-in-foreign-schema",
    sql: `GRANT ${rights.join(", ")} ON SCHEMA ${ident(schema)} TO ${ident(grantee)};`,
    what: `role ${grantee} may not ${creates ? "create" : "use objects"} in schema ${schema}, where ${few(objects.map(({ name }) => name))} ${objects.length === 1 ? "is" : "are"}`,
    why: creates
      ? "PostgreSQL asks for it when a view, a function or statistics are replaced, or given to an owner, and for new partitions."
      : "They are named in what is done.",
    missing,
  };
}

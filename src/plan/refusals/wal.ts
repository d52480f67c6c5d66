/** What capture from the write-ahead log needs: of the server, of the role, and of the table's replica identity. */
import { ident } from "../../pg/quote.js";
import { identityColumns } from "../../wal/identity.js";
import type { Refusal, WalFacts } from "../types.js";
import { walGrants } from "../wal-grants.js";
import { type Check, type CheckInput, nameOf } from "./check.js";

const ELSE = "or leave --capture wal out: triggers need none of this";

const NOBODYS = { mayReplicate: false, mayPublish: false, mayMakeTemporary: false };

export const wal: Check = (input) => {
  if (input.request.capture !== "wal") return [];
  const { wal: facts } = input.survey;
  return [...(facts === undefined ? [] : server(input, facts)), ...identity(input)];
};

function server({ table }: CheckInput, facts: WalFacts): Refusal[] {
  return [
    ...refusal(facts.level !== "logical", {
      code: "wal-level",
      what: `wal_level is ${facts.level}`,
      why: "Only at wal_level = logical does the server write what a changed row's key was.",
      remedy: `ALTER SYSTEM SET wal_level = logical; and restart the server; ${ELSE}.`,
    }),
    ...refusal(facts.slots.used >= facts.slots.most, {
      code: "no-free-slot",
      what: `all ${facts.slots.most} replication slots are taken`,
      why: "The migration needs one from the copy until the cutover.",
      remedy: `ALTER SYSTEM SET max_replication_slots = ${facts.slots.used + 1}; and restart the server, or drop a slot that nobody needs (SELECT slot_name, active FROM pg_replication_slots); ${ELSE}.`,
    }),
    ...walGrants({ role: table.rights.role, database: table.database, now: facts, granted: NOBODYS })
      .filter(({ missing }) => missing)
      .map(({ code, what, why, sql }) => ({ code, what, why, remedy: `${sql} ${ELSE}.` })),
  ];
}

function identity({ table, key, column }: CheckInput): Refusal[] {
  if (key === null) return [];
  const told = identityColumns(table);
  const columns = key.columns.filter((name) => name !== null);
  const lacking = columns.filter((name) => !told.includes(name));
  const generated = table.columns.filter((one) => one.generated !== null).map((one) => one.name);
  const made = generated.find((name) => columns.includes(name) || name === column?.name);
  const isFull = table.replicaIdentity === "f";
  return [
    ...refusal(lacking.length > 0, {
      code: "replica-identity",
      what: `the replica identity of ${nameOf(table)} does not have ${lacking.join(", ")} of the key ${key.name}`,
      why: "Of a deleted row the write-ahead log tells the replica identity alone; and while it is published, PostgreSQL refuses the UPDATE and DELETE of a table that has none.",
      remedy: key.primary
        ? `ALTER TABLE ${nameOf(table)} REPLICA IDENTITY DEFAULT; ${ELSE}.`
        : `ALTER TABLE ${nameOf(table)} REPLICA IDENTITY USING INDEX ${ident(key.name)}; ${ELSE}.`,
    }),
    ...refusal(made !== undefined || (isFull && generated.length > 0), {
      code: "generated-identity",
      what: `column ${made ?? generated[0]} is generated, and needed to tell rows apart in the write-ahead log`,
      why: "Generated columns are not published, and a replica identity with one makes the application's UPDATE fail (42P10).",
      remedy:
        isFull && table.indexes.some((index) => index.primary)
          ? `ALTER TABLE ${nameOf(table)} REPLICA IDENTITY DEFAULT; ${ELSE}.`
          : "Leave --capture wal out: triggers see generated columns.",
    }),
  ];
}

function refusal(found: boolean, one: Refusal): Refusal[] {
  return found ? [one] : [];
}

/** Foreign keys of the table that cannot be carried as they are. */
import { ident } from "../../pg/quote.js";
import { ROOT_NOT_VALID } from "../carry.js";
import type { Refusal } from "../types.js";
import { type Check, nameOf } from "./check.js";

export const foreignKeys: Check = ({ table }) =>
  (table.attached?.foreignKeys ?? []).flatMap((key): Refusal[] => {
    const constraint = ident(key.name);
    if (key.definition.endsWith(" NOT ENFORCED"))
      return [
        {
          code: "foreign-key-not-enforced",
          what: `foreign key ${key.name} is NOT ENFORCED`,
          why: "This version does not carry constraints that are not enforced.",
          remedy: `ALTER TABLE ${nameOf(table)} DROP CONSTRAINT ${constraint};  -- and add it again after the migration`,
        },
      ];
    if (key.validated || table.serverVersion >= ROOT_NOT_VALID) return [];
    return [
      {
        code: "foreign-key-not-valid",
        what: `foreign key ${key.name} is NOT VALID`,
        why: "Before PostgreSQL 18 a partitioned table cannot have such a foreign key, and leaves made later would have none.",
        remedy: `ALTER TABLE ${nameOf(table)} VALIDATE CONSTRAINT ${constraint};`,
      },
    ];
  });

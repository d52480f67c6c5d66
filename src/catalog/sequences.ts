/** Sequences that belong to a column of the table: serial (OWNED BY) and identity. */
import { z } from "zod";
import { qualified } from "../pg/quote.js";
import type { Session } from "../pg/session.js";
import { readRelationGrants } from "./grants.js";
import { jsonRows } from "./json.js";
import type { SequenceInfo } from "./types.js";

const sequenceRow = z.object({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  column: z.string(),
  kind: z.enum(["serial", "identity"]),
  increment: z.string(),
  definition: z.string(),
  comment: z.string().nullable(),
  readable: z.boolean(),
});

/** pg_depend: 'a' from a sequence to a column is OWNED BY, 'i' is identity. */
const SEQUENCES = /*sql*/ `
  SELECT s.oid::text AS oid,
         n.nspname AS schema,
         s.relname AS name,
         a.attname AS "column",
         CASE d.deptype WHEN 'i' THEN 'identity' ELSE 'serial' END AS kind,
         q.seqincrement::text AS increment,
         format('INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s %s', q.seqincrement, q.seqmin,
           q.seqmax, q.seqstart, q.seqcache, CASE WHEN q.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END) AS definition,
         obj_description(s.oid, 'pg_class') AS comment,
         has_schema_privilege(s.relnamespace, 'USAGE') AND has_sequence_privilege(s.oid, 'SELECT') AS readable
    FROM pg_depend d
    JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
    JOIN pg_namespace n ON n.oid = s.relnamespace
    JOIN pg_sequence q ON q.seqrelid = s.oid
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
   WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
     AND d.refobjid = $1::oid AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
   ORDER BY a.attnum, s.relname`;

const position = z.object({ last: z.string(), called: z.enum(["t", "f"]) });

/** The sequences owned by columns of table `oid`, in column order. */
export async function readSequences(session: Session, oid: string): Promise<SequenceInfo[]> {
  const sequences: SequenceInfo[] = [];
  for (const row of await jsonRows(session, sequenceRow, SEQUENCES, [oid])) {
    const { oid: sequenceOid, readable, comment, ...info } = row;
    const at = readable
      ? await session.one(
          position,
          `SELECT last_value AS last, is_called AS called FROM ${qualified(info.schema, info.name)}`,
        )
      : null;
    sequences.push({
      ...info,
      grants: info.kind === "identity" ? await readRelationGrants(session, sequenceOid) : [],
      lastValue: at?.last ?? null,
      isCalled: at?.called === "t",
      ...(comment === null ? {} : { comment }),
    });
  }
  return sequences;
}

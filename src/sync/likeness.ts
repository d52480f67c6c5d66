/** Reads the table that stands for the source and compares (plan/likeness.ts). */
import { z } from "zod";
import type { RunEventBody } from "../../state/events.js";
import { readTableByOid } from "../catalog/read.js";
import type { Session } from "../pg/session.js";
import { type Disparity, type Likeness, likeness, type Stage } from "../plan/likeness.js";
import type { Plan } from "../plan/types.js";

const LEAF_OPTIONS_SQL = /*sql*/ `
SELECT DISTINCT am.amname AS "accessMethod", to_json(coalesce(c.reloptions, '{}'))::text AS "optionsJson",
       CASE WHEN t.oid IS NOT NULL THEN to_json(coalesce(t.reloptions, '{}'))::text END AS "toastJson"
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
  JOIN pg_am am ON am.oid = c.relam
 WHERE i.inhparent = $1::oid`;

const LeafOptions = z
  .object({ accessMethod: z.string(), optionsJson: z.string(), toastJson: z.string().nullable() })
  .transform(({ accessMethod, optionsJson, toastJson }) => ({
    accessMethod,
    options: strings(optionsJson),
    toastOptions: toastJson === null ? null : strings(toastJson),
  }));

function strings(json: string): string[] {
  const value: unknown = JSON.parse(json);
  return z.array(z.string()).parse(value);
}

/** The comparison of relation `oid`, at `stage`, with the source as the plan found it. Reads the catalog only. */
export async function compareCatalog(
  session: Session,
  plan: Plan,
  oid: string,
  stage: Stage,
): Promise<Likeness> {
  const read = async () => {
    const table = await readTableByOid(session, oid);
    const leafOptions = stage === "source" ? null : await session.rows(LeafOptions, LEAF_OPTIONS_SQL, [oid]);
    return likeness(plan, { table, leafOptions }, stage);
  };
  return session.inTransaction ? read() : session.tx(read, { isolation: "repeatable read", readOnly: true });
}

/** One line a disparity: `column note: "..." became "..."`. */
export function disparityLine({ fact, before, now, reason }: Disparity): string {
  const shown = (value: string | null) => (value === null ? "absent" : value === "" ? "none" : value);
  const what =
    now === null
      ? `${fact}: not there (was ${shown(before)})`
      : `${fact}: ${shown(before)} became ${shown(now)}`;
  return reason === null ? what : `${what} (${reason})`;
}

/** A warning for each difference that nothing explains; silent when there is none. */
export async function tellLikeness(
  context: { plan: Plan; emit(event: RunEventBody): void },
  session: Session,
  oid: string,
  stage: Stage,
): Promise<void> {
  const { unexpected } = await compareCatalog(session, context.plan, oid, stage);
  for (const one of unexpected)
    context.emit({ event: "log", level: "warn", message: `catalog: ${disparityLine(one)}` });
}

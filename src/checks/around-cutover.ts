/** What is measured and checked around cutover. Measuring never fails a run; a smoke check that fails is a result. */
import { z } from "zod";
import { messageOf } from "../errors.js";
import type { Session } from "../pg/session.js";
import type { PhaseContext } from "../phases/phase.js";
import { sidesOf } from "../sync/pairs.js";
import { readStored } from "../sync/store.js";
import { type Measured, measureQueries } from "./queries.js";
import { sizesNow } from "./sizes.js";
import { runSmoke } from "./smoke.js";

const Bytes = z.object({ bytes: z.coerce.number() });

/** Where the server's WAL stands: what was written in between is the difference of two. */
export async function noteWal(context: PhaseContext): Promise<void> {
  await attempt(context, "the WAL's position", async (session) => {
    const { bytes } = await session.one(
      Bytes,
      "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), '0/0')::text AS bytes",
    );
    context.record.measurement({ name: "wal-position", value: bytes });
  });
}

/** At the end of validation: sizes of both tables, and the configured queries on the source. */
export async function beforeCutover(context: PhaseContext): Promise<void> {
  const { plan } = context;
  await noteWal(context);
  await attempt(context, "the sizes", async (session) => {
    const stored = await readStored(session, plan.id);
    context.emit(await sizesNow(session, plan, stored?.shadowOid ?? null));
  });
  await attempt(context, "the change log's size", async (session) => {
    const { bytes } = await session.one(
      Bytes,
      "SELECT pg_catalog.pg_total_relation_size($1::regclass)::text AS bytes",
      [sidesOf(plan, "forward").log],
    );
    context.record.measurement({ name: "change-log-bytes", value: bytes });
  });
  await queries(context, "before");
}

/** After the swap: the smoke checks, then the queries on the new table. Errors: those of the connection and of a stop. */
export async function afterCutover(context: PhaseContext): Promise<void> {
  const { plan, settings } = context;
  if (settings.smoke.length > 0) {
    const session = await context.open();
    const { failed } = await runSmoke(session, plan, settings.smoke, context);
    // It goes back now: nobody is to wait for a measurement.
    if (failed.length > 0 && settings.smokeFailure === "rollback") return;
  }
  await queries(context, "after");
}

async function queries(context: PhaseContext, when: Measured["when"]): Promise<void> {
  const { plan, settings } = context;
  if (settings.queries.length === 0) return;
  await attempt(context, `the queries ${when} cutover`, (session) =>
    measureQueries(session, plan, settings.queries, when, context),
  );
}

/** A session that waits behind the measurement gets the table (pg/aside.ts); the run goes on without the measurement. */
async function attempt(
  context: PhaseContext,
  what: string,
  work: (session: Session) => Promise<void>,
): Promise<void> {
  try {
    await work(await context.open());
  } catch (error) {
    context.emit({ event: "log", level: "warn", message: `not measured: ${what}: ${messageOf(error)}` });
  }
}

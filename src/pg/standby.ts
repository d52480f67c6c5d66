/** A standby takes no writes: said by the plan, before the journal has anything. */
import { z } from "zod";
import type { Refusal } from "../plan/types.js";
import type { Session } from "./session.js";

const Recovery = z.object({ standby: z.enum(["true", "false"]) });
const RECOVERY_SQL = /*sql*/ `SELECT pg_is_in_recovery()::text AS standby`;

/** A refusal when `session` is on a server in recovery. */
export async function standbyRefusal(session: Session): Promise<Refusal[]> {
  if ((await session.one(Recovery, RECOVERY_SQL)).standby === "false") return [];
  return [
    {
      code: "standby",
      what: "the server is a standby (in recovery)",
      why: "it takes no writes; what it has is what its primary sends",
      remedy: "Point --url at the primary. On it, pg_stat_replication lists its standbys.",
    },
  ];
}

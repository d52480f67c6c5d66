/** Rows from one server to another through this process, in constant memory, with what they are to be compared with. */
import { pipeline } from "node:stream/promises";
import { type Sum, SumRow } from "../archive/load.js";
import { lockSql, sumSql } from "../backup/sql.js";
import { cancelledBy } from "../backup/stop.js";
import type { CareWork } from "../care/work.js";
import type { ColumnInfo } from "../catalog/types.js";
import { identList, literal, qualified } from "../pg/quote.js";
import { Session } from "../pg/session.js";
import type { Target } from "../pg/target.js";
import { isComputedThere, type Twin } from "./twin.js";

export interface Copied {
  schema: string;
  name: string;
  columns: readonly ColumnInfo[];
}

/** `work` on a connection of its own: a COPY that breaks off takes its connection along. */
export async function onOwn<T>(
  target: Target,
  signal: AbortSignal,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const open = () => Session.open(target);
  const session = await open();
  return cancelledBy(signal, session, open, () => work(session)).finally(() => session.end());
}

/** Longest wait for a lock over there, ms: an autovacuum that is in the way yields after deadlock_timeout. */
export function coldWaitMs({ settings, deadlockMs }: Pick<CareWork, "settings" | "deadlockMs">): number {
  return Math.max(settings.lockTimeoutMaxMs, deadlockMs + 2000);
}

/** Count and content hash of a table, foreign ones included, by what the server that is asked reads. */
export function sumOf(session: Session, { schema, name, columns }: Copied): Promise<Sum> {
  return session.one(SumRow, sumSql({ schema, name, columns: [...columns] }));
}

/** The leaf's rows into its twin, all of one snapshot, and their count and hash in that snapshot. */
export async function copyToTwin(
  target: Target,
  cold: Session,
  leaf: Copied & Pick<Twin, "how">,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<Sum> {
  return onOwn(target, signal, (session) =>
    session.tx(
      async () => {
        const sum = await sumOf(session, leaf);
        const names = leaf.columns
          .filter((column) => !isComputedThere(column, leaf.how))
          .map(({ name }) => name);
        await cold.tx(() => pass(session, cold, leaf, { names, signal, onBytes }));
        return sum;
      },
      { isolation: "repeatable read", readOnly: true, lock: lockSql(leaf) },
    ),
  );
}

/** The columns `names` of the table `from`, on one server, into the table of the same columns `into` on another. */
export async function pass(
  from: Session,
  to: Session,
  table: { schema: string; name: string },
  how: { names: readonly string[]; signal: AbortSignal; onBytes: (bytes: number) => void; into?: string },
): Promise<void> {
  const { names, signal, onBytes } = how;
  const columns = identList([...names]);
  const source = qualified(table.schema, table.name);
  // Both sides convert from and to what they store; this process hands on bytes.
  const format = `(FORMAT text, ENCODING ${literal("UTF8")})`;
  let bytes = 0;
  const counted = async function* (rows: AsyncIterable<Buffer | string>): AsyncGenerator<Buffer> {
    for await (const chunk of rows) {
      bytes += chunk.length;
      onBytes(bytes);
      yield Buffer.from(chunk);
    }
  };
  // A column of xml may hold documents and fragments.
  await to.query("SET LOCAL xmloption = content");
  try {
    await pipeline(
      from.copyOut(`COPY (SELECT ${columns} FROM ONLY ${source}) TO STDOUT ${format}`),
      counted,
      to.copyIn(`COPY ${how.into ?? source} (${columns}) FROM STDIN ${format}`),
      { signal },
    );
  } catch (error) {
    // A COPY that nobody reads or feeds any more blocks its connection: not even a ROLLBACK would get through.
    await from.end();
    await to.end();
    throw error;
  }
}

/**
 * A cold leaf back into its table: made like the table's other leaves, filled from the cold server under a lock that no
 * writer passes there, proven, and put in the foreign table's place, in one transaction here: interrupted, it leaves nothing.
 */
import { z } from "zod";
import type { Sum } from "../archive/load.js";
import { dataColumns } from "../backup/manifest.js";
import { cancelledBy } from "../backup/stop.js";
import { namesIn, takeIdentity } from "../care/create.js";
import { boundSql, differencesOf, overlapping } from "../care/definition.js";
import { rowsWait } from "../care/split.js";
import { Present } from "../care/store.js";
import { type CareTable, readCareTable, shownName } from "../care/table.js";
import { readTemplate, standaloneDdl } from "../care/template.js";
import { type CareWork, inLocks } from "../care/work.js";
import { readColumns } from "../catalog/columns.js";
import type { ColumnInfo } from "../catalog/types.js";
import { PartwayError } from "../errors.js";
import type { StrongLock } from "../pg/locks.js";
import { ident, qualified } from "../pg/quote.js";
import { Session } from "../pg/session.js";
import type { Target } from "../pg/target.js";
import { freeName, shorten } from "../plan/names.js";
import { coldWaitMs, onOwn, pass, sumOf } from "./copy.js";
import { besideOf, EXCHANGE_SQL, viewLock } from "./exchange.js";
import { COLD_SQL, type ColdRow } from "./store.js";
import { dropTwin, homeOf, withTwin } from "./twin.js";
import { isViewThere, makeView } from "./view.js";

const AS_IT_WAS = "Nothing was changed: the leaf is cold, and readable as before.";

/** Brings one leaf back. Errors: `refused` where it does not fit; `difference`; `lock-busy`. */
export async function warmLeaf(
  work: CareWork,
  tableOid: string,
  target: Target,
  row: ColdRow,
  acceptsChanges: boolean,
): Promise<Sum> {
  const { session, settings, signal } = work;
  const table = await readCareTable(session, { oid: tableOid });
  const columns = row.columns ?? [];
  const bound = await assertFits(work, table, row, columns);
  const isThere = row.how === "beside" && (await isViewThere(session, table));
  const template = { ...(await readTemplate(session, table)), schema: row.schema };
  const parent = shownName(table);
  // The foreign table has the leaf's name until the end.
  const foreign = qualified(row.schema, row.foreignName ?? row.name);
  const name = freeName(`${shorten(row.name, 55)}_warm`, new Set(await namesIn(session, row.schema)));
  const [made, back] = [qualified(row.schema, name), qualified(row.schema, row.name)];
  const check = `${shorten(row.name, 50)}_bound`;
  const fallback = table.leaves.find((one) => one.bound.kind === "default");
  const strong: StrongLock[] = [
    ...(isThere ? [{ alter: viewLock(table) }] : []),
    { table: `ONLY ${parent}`, mode: "ACCESS EXCLUSIVE" },
    ...(fallback === undefined ? [] : [{ table: shownName(fallback), mode: "ACCESS EXCLUSIVE" } as const]),
    ...(row.how === "beside" ? [] : [{ alter: `ALTER TABLE ${parent} DETACH PARTITION ${foreign}` }]),
    {
      work: `ALTER TABLE ${parent} ATTACH PARTITION ${made} ${bound.forValues}`,
      holdMs: settings.holdBudgetMs,
    },
  ];
  return onOwn(target, signal, async (cold) => {
    // Readers go on; who would write waits until the leaf is back here, or this gives up.
    const sum = await withTwin(cold, row, coldWaitMs(work), async (twin) => {
      const sums: Sum[] = [];
      await inLocks(work, {
        ...{ purpose: `return of ${row.name}`, parent, state: AS_IT_WAS, strong },
        before: async () => {
          const bounded = { name: check, expression: bound.condition };
          for (const sql of standaloneDdl(template, parent, name, bounded)) await session.query(sql);
          const onBytes = (bytes: number) => work.onArchive?.(row.name, "read", bytes);
          await pass(cold, session, row, { names: dataColumns(columns), signal, onBytes, into: made });
          sums.push(
            await proven(work, cold, row, { twin, made: { schema: row.schema, name }, acceptsChanges }),
          );
        },
        // It may hold the table here, which we want: no server sees that, and it would wait for all of our tries.
        ready: async () => {
          const { present } = await cold.one(Present, EXCHANGE_SQL.waited, [twin, cold.pid]);
          if (present === "true") throw writerWaits(row);
        },
        after: async () => {
          await session.query(`ALTER TABLE ${made} DROP CONSTRAINT ${ident(check)}`);
          if (template.identity === "i" && template.leaf !== null)
            await takeIdentity(session, template.leaf, made);
          const [sum] = sums;
          if (sum === undefined) throw new Error("the leaf is filled and was not counted");
          await session.query(COLD_SQL.warmed, [row.id, made, sum.rows, sum.hash]);
          if (row.how === "beside") {
            const { owner, role } = template;
            await makeView(session, table, await besideOf(session, table.oid), { owner, role, isThere });
          }
          await session.query(`DROP FOREIGN TABLE ${foreign}`);
          await session.query(`ALTER TABLE ${made} RENAME TO ${ident(row.name)}`);
        },
      });
      const [sum] = sums;
      if (sum === undefined) throw new Error("the leaf is back and was not counted");
      return sum;
    });
    await session.query(`ANALYZE ${back}`);
    return sum;
  });
}

/** What came back is what was cooled; with `acceptsChanges`, what is there now. Errors: `difference`. */
async function proven(
  { session, signal }: CareWork,
  cold: Session,
  row: ColdRow,
  given: { twin: string; made: { schema: string; name: string }; acceptsChanges: boolean },
): Promise<Sum> {
  const made = await readOid(session, given.made);
  const columns = inOrder(row.columns ?? [], await readColumns(session, made));
  const open = () => Session.open(session.target);
  const sum = await cancelledBy(signal, session, open, () => sumOf(session, { ...given.made, columns }));
  if (sum.rows === row.rows && sum.hash === row.hash) return sum;
  const different = (what: string, next: string) =>
    new PartwayError("difference", { what, state: AS_IT_WAS, next });
  if (!given.acceptsChanges)
    throw different(
      `the cold copy of ${row.name} is not what was cooled: ${sum.rows} rows with hash ${sum.hash}, it was ${row.rows} with ${row.hash}`,
      "If it was changed there on purpose: the same command with --accept-changes.",
    );
  const there = await sumOf(cold, {
    ...{ schema: row.schema, name: row.name },
    columns: inOrder(row.columns ?? [], await readColumns(cold, given.twin)),
  });
  if (there.rows === sum.rows && there.hash === sum.hash) return sum;
  throw different(
    `the rows of ${row.name} that came back are not those on the cold server: count or content hash differ`,
    "The same command again; if it stays so, look at the types there.",
  );
}

function writerWaits({ name }: ColdRow): PartwayError {
  return new PartwayError("lock-busy", {
    what: `somebody waits on the cold server to write into ${name}`,
    state: AS_IT_WAS,
    next: "The same command again, when it is written no more.",
  });
}

const Oid = z.object({ oid: z.string() });

async function readOid(
  session: Session,
  { schema, name }: { schema: string; name: string },
): Promise<string> {
  return (await session.one(Oid, "SELECT $1::regclass::oid::text AS oid", [qualified(schema, name)])).oid;
}

/** A hash depends on the order of the columns: that of the leaf as it was cooled. */
function inOrder(cooled: readonly ColumnInfo[], now: readonly ColumnInfo[]): ColumnInfo[] {
  return cooled.flatMap(({ name }) => now.filter((one) => one.name === name));
}

async function assertFits(work: CareWork, table: CareTable, row: ColdRow, columns: readonly ColumnInfo[]) {
  const refuse = (why: string) => {
    const what = `the leaf ${row.name} cannot be brought back: ${why}`;
    return new PartwayError("refused", {
      what,
      state: AS_IT_WAS,
      next: "Mend that, then the same command again.",
    });
  };
  const different = differencesOf(columns, await readColumns(work.session, table.oid));
  if (different.length > 0) throw refuse(`${shownName(table)} is not what it was: ${different.join("; ")}`);
  const [inTheWay] = overlapping(table, row.bound).filter(({ oid }) => oid !== row.foreignOid);
  if (inTheWay !== undefined) throw refuse(`its bound overlaps that of the leaf ${inTheWay.name}`);
  const bound = boundSql(row.bound, table.column ?? "");
  if (bound === null) throw refuse(`its bound, ${row.bound}, is not a range of one column`);
  const fallback = table.leaves.find((one) => one.bound.kind === "default");
  if (fallback !== undefined && (await rowsWait(work, fallback, bound.condition)))
    throw refuse(`the DEFAULT leaf ${fallback.name} has rows of its range`);
  return bound;
}

/**
 * The cold copy of a leaf that is back away. Errors: `refused` where what stands there is not that copy, or its rows are
 * not those that came back.
 */
export async function dropCopy(work: CareWork, target: Target, row: ColdRow, sum: Sum | null): Promise<void> {
  const back = sum ?? row;
  await onOwn(target, work.signal, async (cold) => {
    const isSame = async (oid: string) => {
      const columns = inOrder(row.columns ?? [], await readColumns(cold, oid));
      const there = await sumOf(cold, { schema: row.schema, name: row.name, columns });
      return there.rows === back.rows && there.hash === back.hash;
    };
    if (!(await dropTwin(cold, row, await homeOf(work.session), isSame)))
      throw new PartwayError("refused", {
        what: `${qualified(row.schema, row.name)} on the cold server is not the copy of ${row.name} that this database has made, or was changed since the leaf came back`,
        state: "The leaf is back, and in its table; nothing was dropped there.",
        next: "Look there, and drop it by hand if it is to go.",
      });
  });
  await work.session.query(COLD_SQL.dropped, [row.id]);
}

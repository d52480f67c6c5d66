/** What will be different for the application afterwards: said at plan, so that nothing surprises later (FEATURES N4). */
import type { ColumnInfo, IndexInfo, TableInfo } from "../catalog/types.js";
import { identList } from "../pg/quote.js";
import { ROOT_NOT_VALID } from "./carry.js";
import { hasFallback } from "./fallback.js";
import type { Consequence, Leaf, MigrationRequest } from "./types.js";

interface Facts {
  table: TableInfo;
  request: MigrationRequest;
  column: ColumnInfo;
  key: IndexInfo;
  leaves: readonly Leaf[];
}

/** In order of weight. Empty for a table that has no key or no partition column: it is refused anyway. */
export function consequencesOf(facts: Facts): Consequence[] {
  return [
    ...lostUniqueness(facts),
    ...becomesNotNull(facts),
    ...prunes(facts),
    ...manyLocks(facts),
    ...(hasFallback(facts.request) ? fallsBack(facts) : runsOut(facts)),
    snapshots(),
    ...concurrently(facts),
    ...clusterMark(facts),
    ...grantors(facts),
    ...incoming(facts),
    ...keysOfLeaves(facts),
    ...movingRows(facts),
    ...published(facts),
  ];
}

/** The key indexes that lose their meaning alone: the chosen key and the primary key. */
function lostUniqueness({ table, column, key }: Facts): Consequence[] {
  return table.indexes
    .filter((index) => index.name === key.name || index.primary)
    .filter((index) => !index.columns.includes(column.name))
    .map((index) => {
      const columns = index.columns.filter((name) => name !== null);
      const [before, after] = [identList(columns), identList([...columns, column.name])];
      return {
        code: "key-alone-not-unique",
        what: `(${before}) alone will no longer be unique: the new table enforces (${after}).`,
        advice:
          `INSERT ... ON CONFLICT (${before}) and ON CONFLICT ON CONSTRAINT "${index.name}" with the old columns in mind will fail or no longer match: ` +
          `write ON CONFLICT (${after}). No foreign key can reference (${before}). Take ids from a sequence or a uuid, which do not repeat.`,
      };
    });
}

function becomesNotNull({ column }: Facts): Consequence[] {
  if (column.notNull) return [];
  return [
    {
      code: "partition-column-not-null",
      what: `Column ${column.name} becomes NOT NULL.`,
      advice: `An INSERT without it will fail after cutover; one that leaves it NULL during the migration stops the run. Forbid it now: ALTER TABLE ... ALTER COLUMN "${column.name}" SET NOT NULL.`,
    },
  ];
}

function prunes({ column, leaves }: Facts): Consequence[] {
  return [
    {
      code: "queries-without-partition-column",
      what: `Queries that do not say ${column.name} in WHERE probe every leaf (${leaves.length} now).`,
      advice: `Look-ups by key alone become slower with each leaf; add ${column.name} to them where the application knows it.`,
    },
  ];
}

/**
 * max_locks_per_transaction 64 times max_connections 100, the defaults: what the server's lock table is sure to hold.
 * Tried: one transaction that makes leaves with a toast table fails at the 4,215th on 15, at the 4,920th on 18 (53200).
 */
const DEFAULT_LOCKS = 6400;

function manyLocks({ table, leaves }: Facts): Consequence[] {
  // A leaf with its indexes when it is read, with its toast table and that one's index when it is made.
  const locks = leaves.length * Math.max(3, 1 + table.indexes.length);
  if (locks <= DEFAULT_LOCKS) return [];
  return [
    {
      code: "many-locks",
      what: `${leaves.length} leaves: making them, and any statement that touches all of them, takes about ${locks} locks; a server with default settings holds about ${DEFAULT_LOCKS} in all (53200: out of shared memory).`,
      advice: `Choose longer intervals, or raise max_locks_per_transaction beforehand (needs a restart): ALTER SYSTEM SET max_locks_per_transaction = ${Math.ceil((locks * 4) / 100 / 64) * 64};`,
    },
  ];
}

function runsOut({ request, column, leaves }: Facts): Consequence[] {
  const { scheme } = request;
  if (scheme.kind === "hash") return [];
  const last = leaves.at(-1)?.bounds;
  const end = last?.kind === "range" ? last.to : null;
  return [
    {
      code: "rows-outside-leaves",
      what:
        end === null
          ? `A row whose ${column.name} is not in the list will be rejected (23514: no partition of relation found for row).`
          : `Rows with ${column.name} from ${end} on, or before the oldest leaf, will be rejected (23514: no partition of relation found for row).`,
      advice:
        end === null
          ? "Create a leaf for a new value before it is first used."
          : `${request.ahead} leaves are made ahead; have new ones created ahead on a schedule, well before ${end}.`,
    },
  ];
}

function fallsBack({ request, column, leaves }: Facts): Consequence[] {
  const rest = leaves.at(-1);
  if (rest?.bounds.kind !== "default") return [];
  const end = leaves.at(-2)?.bounds;
  const noDetach =
    "Beside a DEFAULT leaf PostgreSQL does not detach another one CONCURRENTLY, and each new leaf locks DEFAULT and reads it through.";
  if (end?.kind !== "range")
    return [
      {
        code: "default-leaf",
        what: `A row whose ${column.name} is not in the list goes into the DEFAULT leaf ${rest.name} and stays there; none is rejected.`,
        advice: `For a new value of weight, create its leaf before it is first used: later its rows have to be moved out of ${rest.name}. ${noDetach}`,
      },
    ];
  return [
    {
      code: "default-leaf",
      what: `What no leaf can hold (infinite ${column.name}, or beyond what the type lets a leaf end with) stands in the DEFAULT leaf ${rest.name}. After cutover it also takes rows with ${column.name} from ${end.to} on, or before the oldest leaf, instead of rejecting them.`,
      advice: `Until cutover late rows get leaves of their own; ${request.ahead} leaves are made ahead, and new ones have to be there before ${end.to}: partway adopt, then partway maintain on a schedule, which moves what waits in DEFAULT under a short lock. ${noDetach}`,
    },
  ];
}

function snapshots(): Consequence {
  return {
    code: "snapshots-across-cutover",
    what: "A REPEATABLE READ or SERIALIZABLE transaction that spans cutover or rollback and uses the table only afterwards sees the other table as of its snapshot: an UPDATE of a row written shortly before may touch 0 rows, or fail with 40001.",
    advice: "Keep such transactions short around cutover; retry on 40001, and those that update nothing.",
  };
}

function concurrently({ table }: Facts): Consequence[] {
  return [
    {
      code: "no-concurrent-index-on-parent",
      what: "CREATE INDEX CONCURRENTLY does not work on the partitioned table itself.",
      advice: `For a new index: CREATE INDEX ... ON ONLY ${table.name}, CREATE INDEX CONCURRENTLY on each leaf, then ALTER INDEX ... ATTACH PARTITION.`,
    },
  ];
}

function clusterMark({ table }: Facts): Consequence[] {
  const marked = table.indexes.find((index) => index.clustered);
  if (marked === undefined) return [];
  return [
    {
      code: "cluster-mark-lost",
      what: `The table is marked to be clustered on ${marked.name}; a partitioned table has no such mark.`,
      advice: "CLUSTER a leaf by naming the leaf and its index.",
    },
  ];
}

function incoming({ table, request }: Facts): Consequence[] {
  if (request.incomingFk !== "drop") return [];
  return (table.attached?.incomingKeys ?? []).map((key) => ({
    code: "incoming-foreign-key-dropped",
    what: `Foreign key ${key.name} of ${key.child} is dropped at cutover: nothing checks any more that its rows have their row here.`,
    advice:
      "Let the application check it. A rollback brings the constraint back, NOT VALID if rows break it by then.",
  }));
}

/** Measured on 15: 181 leaves with 4 keys 0.8 s, with 1 key 70 ms; each key makes the next one dearer. */
const MANY_KEYS = 300;

function keysOfLeaves({ table, leaves }: Facts): Consequence[] {
  const made = leaves.length * (table.attached?.foreignKeys ?? []).length;
  if (table.serverVersion >= ROOT_NOT_VALID || made < MANY_KEYS) return [];
  return [
    {
      code: "many-foreign-keys-in-the-lock",
      what: `${made} foreign keys (${leaves.length} leaves) are made inside the cutover's lock: before PostgreSQL 18 each leaf gets its own, which may take longer than the hold budget.`,
      advice: "Choose longer intervals, or give --hold-budget 10s and cut over at a quiet hour.",
    },
  ];
}

function movingRows({ table, column }: Facts): Consequence[] {
  const rows = (table.attached?.triggers ?? []).filter((trigger) => trigger.row && trigger.enabled !== "D");
  if (rows.length === 0) return [];
  return [
    {
      code: "row-triggers-when-a-row-moves",
      what: `An UPDATE that changes ${column.name} so that the row moves to another leaf fires the triggers of DELETE and INSERT, not AFTER UPDATE (${rows.map((trigger) => trigger.name).join(", ")}); a BEFORE trigger that itself moves a row to another leaf is refused (0A000).`,
      advice: `Look at the triggers' functions if the application ever changes ${column.name}.`,
    },
  ];
}

function published({ table, column }: Facts): Consequence[] {
  return (table.attached?.publications ?? []).map((publication) => ({
    code: "published-through-the-root",
    what: `Publication ${publication.name} sends the new table's changes under the table's own name; the key that goes with UPDATE and DELETE holds ${column.name} as well.`,
    advice:
      "A subscriber goes on as it is. TRUNCATE of a single leaf is not sent (it is no TRUNCATE of the table).",
  }));
}

function grantors({ table }: Facts): Consequence[] {
  const others = [...(table.grants ?? []), ...table.columnGrants].filter(
    (grant) => grant.grantor !== table.owner,
  );
  if (others.length === 0) return [];
  return [
    {
      code: "grantor-changed",
      what: `Rights that others than the owner gave (${[...new Set(others.map((grant) => grant.grantor))].join(", ")}) will be recorded as given by ${table.owner}.`,
      advice:
        "The rights are the same; REVOKE ... CASCADE from the former grantor no longer takes them away.",
    },
  ];
}

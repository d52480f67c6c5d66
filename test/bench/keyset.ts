/** Two other ways, in plain SQL: batches by key into a fully indexed shadow, without and with mirror triggers. */
import type pg from "pg";
import { connected, numberOf, walPosition } from "./database.js";
import { latencyIn, named } from "./latency.js";
import { median, ratio } from "./stats.js";
import { INDEXES, indexSql, makeShadow, type Shape } from "./table.js";
import type { Load } from "./under-writers.js";
import { startWriters, writeFor } from "./writers.js";

const BATCH = 10_000;

const BATCH_SQL = /*sql*/ `
WITH batch AS (SELECT * FROM public.orders WHERE id > $1 ORDER BY id LIMIT ${BATCH}),
     done AS (INSERT INTO public.shadow SELECT * FROM batch ON CONFLICT DO NOTHING)
SELECT coalesce(max(id), 0) FROM batch`;

/** Every index is there before the first row: the batches meet a table that is ready for its triggers. */
async function indexedShadow(url: string, shape: Shape): Promise<void> {
  const leaves = await makeShadow(url, shape);
  await connected(url, async (client) => {
    for (const index of INDEXES) {
      await client.query(indexSql(index, null));
      for (const leaf of leaves) {
        await client.query(indexSql(index, leaf));
        await client.query(
          `ALTER INDEX public.shadow_${index.name} ATTACH PARTITION public.${leaf}_${index.name}`,
        );
      }
    }
  });
}

async function copyByKey(client: pg.Client): Promise<void> {
  for (let last = 0; ; ) {
    const next = await numberOf(client, BATCH_SQL, [last]);
    if (next === 0) return;
    last = next;
  }
}

/** On one connection; the clock runs from before the shadow is made. */
export async function keyset(url: string, shape: Shape): Promise<Record<string, number>> {
  const from = performance.now();
  return connected(url, async (client) => {
    const wal = await walPosition(client);
    await indexedShadow(url, shape);
    await copyByKey(client);
    const seconds = (performance.now() - from) / 1000;
    return { seconds, walPerRow: ((await walPosition(client)) - wal) / shape.rows };
  });
}

const TRIGGER =
  "CREATE TRIGGER mirror AFTER INSERT OR UPDATE OR DELETE ON public.orders FOR EACH ROW EXECUTE FUNCTION public.mirror()";
const MIRROR = /*sql*/ `
CREATE FUNCTION public.mirror() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    DELETE FROM public.shadow WHERE id = OLD.id AND created_at = OLD.created_at;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO public.shadow SELECT NEW.*
      ON CONFLICT (id, created_at) DO UPDATE
      SET (customer_id, status, amount, note, updated_at) =
          (EXCLUDED.customer_id, EXCLUDED.status, EXCLUDED.amount, EXCLUDED.note, EXCLUDED.updated_at);
  END IF;
  RETURN NULL;
END $$`;

const PAIRS = 3;

/**
 * The same under the writers' load, by the same clock: making the shadow and its triggers is in it. Then what the triggers
 * leave of a saturated server's throughput. `errors`: statements of the writers that failed, saturated ones too.
 */
export async function mirror(url: string, shape: Shape, load: Load): Promise<Record<string, number>> {
  return connected(url, async (client) => {
    const writers = await startWriters({ url, ...load, rows: shape.rows });
    const begun = performance.now();
    const { copied, seconds, wrote } = await mirroredCopy(client, url, shape).then(
      async (span) => {
        const taken = (performance.now() - begun) / 1000;
        return { copied: span, seconds: taken, wrote: await writers.stop() };
      },
      async (error: unknown) => {
        await writers.stop();
        throw error;
      },
    );
    const { samples, failures } = wrote;
    for (const failure of failures) console.log(`  a writer was told: ${failure}`);
    const closed = { url, perSecond: null, clients: 4, rows: shape.rows };
    const kept: number[] = [];
    let errors = samples.filter(({ ok }) => !ok).length;
    for (let pair = 0; pair < PAIRS; pair++) {
      const mirrored = await rateOf(closed, load.spanSeconds);
      await client.query("DROP TRIGGER mirror ON public.orders");
      const alone = await rateOf(closed, load.spanSeconds);
      await client.query(TRIGGER);
      errors += mirrored.errors + alone.errors;
      const share = ratio(mirrored.perSecond, alone.perSecond);
      if (share !== null) kept.push(share);
    }
    return {
      ...{ seconds, errors, throughputKept: median(kept) ?? 0 },
      ...named("copy", latencyIn(samples, { name: "copy", ...copied })),
    };
  });
}

/** Shadow, triggers, copy. Gives the copy's span, epoch ms. */
async function mirroredCopy(
  client: pg.Client,
  url: string,
  shape: Shape,
): Promise<{ from: number; to: number }> {
  await indexedShadow(url, shape);
  await client.query(MIRROR);
  await client.query(TRIGGER);
  const from = Date.now();
  // A batch may have read a row that a writer deletes before the batch is in: this way has no answer to that.
  await copyByKey(client);
  return { from, to: Date.now() };
}

export interface Rate {
  perSecond: number;
  errors: number;
}

/** Answers a second of writers that send their next at once. What they were told is printed. */
export async function rateOf(task: Parameters<typeof writeFor>[0], seconds: number): Promise<Rate> {
  const { samples, failures, from, to } = await writeFor(task, seconds);
  for (const failure of failures) console.log(`  a writer was told: ${failure}`);
  const perSecond = latencyIn(samples, { name: "closed", from, to })?.perSecond ?? 0;
  return { perSecond, errors: samples.filter(({ ok }) => !ok).length };
}

/** The floor: what the server alone takes for the same table, without a live writer in mind. */
import { connected, numberOf, onConnections, walPosition } from "./database.js";
import { INDEXES, indexSql, makeShadow, type Shape } from "./table.js";

const seconds = (from: number): number => (performance.now() - from) / 1000;

/**
 * Two plain INSERT ... SELECT of a half each into leaves without indexes, the indexes of each leaf on two connections,
 * attached; then, told apart, what Partway's index phase ends with, in its order: statistics, and leaves frozen.
 */
export async function floor(url: string, shape: Shape): Promise<Record<string, number>> {
  const begun = performance.now();
  return connected(url, async (watch) => {
    const wal = await walPosition(watch);
    const leaves = await makeShadow(url, shape);
    const half = Math.ceil((await numberOf(watch, "SELECT pg_relation_size('public.orders') / 8192")) / 2);
    const copying = performance.now();
    const halves = [`ctid < '(${half},0)'`, `ctid >= '(${half},0)'`];
    await onConnections(url, 2, halves, (client, where) =>
      client.query(`INSERT INTO public.shadow SELECT * FROM public.orders WHERE ${where}`),
    );
    const copySeconds = seconds(copying);
    const building = performance.now();
    const builds = INDEXES.flatMap((index) => leaves.map((leaf) => ({ index, leaf })));
    await onConnections(url, 2, builds, (client, { index, leaf }) => client.query(indexSql(index, leaf)));
    for (const index of INDEXES) {
      await watch.query(indexSql(index, null));
      for (const leaf of leaves)
        await watch.query(
          `ALTER INDEX public.shadow_${index.name} ATTACH PARTITION public.${leaf}_${index.name}`,
        );
    }
    const indexSeconds = seconds(building);
    const total = seconds(begun);
    const walBytes = (await walPosition(watch)) - wal;
    const cleaning = performance.now();
    const { parent, leaf: ofLeaf } = statistics(await numberOf(watch, "SHOW server_version_num"));
    await onConnections(url, 2, [null, ...leaves], (client, leaf) =>
      client.query(leaf === null ? parent : ofLeaf(leaf)),
    );
    const vacuumSeconds = seconds(cleaning);
    return {
      ...{
        seconds: total,
        copySeconds,
        indexSeconds,
        vacuumSeconds,
        secondsWithVacuum: total + vacuumSeconds,
      },
      ...{ walPerRow: walBytes / shape.rows },
      walPerRowWithVacuum: ((await walPosition(watch)) - wal) / shape.rows,
    };
  });
}

/** The same as Partway's, which spares a second look at the leaves: before 18 the parent's ANALYZE looks at each. */
export function statistics(serverVersion: number): { parent: string; leaf(leaf: string): string } {
  return serverVersion >= 180_000
    ? { parent: "ANALYZE ONLY public.shadow", leaf: (leaf) => `VACUUM (FREEZE, ANALYZE) public.${leaf}` }
    : { parent: "ANALYZE public.shadow", leaf: (leaf) => `VACUUM (FREEZE) public.${leaf}` };
}

/** The floor: what the server alone takes for the same table, without a live writer in mind. */
import { connected, numberOf, onConnections, walPosition } from "./database.js";
import { INDEXES, indexSql, makeShadow, type Shape } from "./table.js";

const seconds = (from: number): number => (performance.now() - from) / 1000;

/**
 * Two plain INSERT ... SELECT of a half each into leaves without indexes, the indexes of each leaf on two connections,
 * attached; then, told apart, the VACUUM (FREEZE, ANALYZE) of the leaves that Partway's index phase ends with.
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
    await onConnections(url, 2, leaves, (client, leaf) =>
      client.query(`VACUUM (FREEZE, ANALYZE) public.${leaf}`),
    );
    // Partway spares 18 a second look at the leaves; so does the floor.
    const newer = (await numberOf(watch, "SHOW server_version_num")) >= 180_000;
    await watch.query(`ANALYZE ${newer ? "ONLY " : ""}public.shadow`);
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

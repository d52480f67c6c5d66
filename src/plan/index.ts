/** From what is known to what will be done: pure, the same input gives the same plan. */
import type { ColumnInfo, TableInfo } from "../catalog/types.js";
import { renderLeafName } from "../config/template.js";
import { layOut } from "./bounds.js";
import { findColumn } from "./columns.js";
import { consequencesOf } from "./consequences.js";
import { shadowDdl } from "./ddl.js";
import { estimateRows } from "./estimate.js";
import { hasFallback } from "./fallback.js";
import { forecast } from "./forecast.js";
import { planIndexes } from "./indexes.js";
import { chooseKey } from "./key.js";
import { makeNames, namer } from "./names.js";
import { refusalsOf } from "./refusals/index.js";
import type { NoSample, TableSample } from "./sample.js";
import { planSequences } from "./sequences.js";
import type { ColumnRef, Fingerprint, Leaf, MigrationRequest, Plan, Survey } from "./types.js";
import { walWarnings } from "./wal-warnings.js";

export interface PlanInput {
  table: TableInfo;
  survey: Survey;
  request: MigrationRequest;
  fingerprint: Fingerprint;
  id: string;
  nonce: string;
  /** For the forecast; left out: none was asked for. */
  sample?: TableSample | NoSample | undefined;
  /** Connections that the run will have; left out: the default. */
  workers?: number;
  /** What each index build may take of memory before it sorts on the disk. */
  buildBytes?: number;
}

/**
 * The plan of a migration. Never throws for a table that cannot be migrated: `refusals` then says why, and what could
 * not be decided is empty (no leaves without a partition column, no key without a usable index).
 */
export function makePlan(input: PlanInput): Plan {
  const { table, survey, request: asked, fingerprint, id, nonce, sample, workers, buildBytes } = input;
  const column = findColumn(table, asked.scheme.column);
  const key = chooseKey(table, asked.keyIndex);
  const request = column === null ? asked : { ...asked, scheme: { ...asked.scheme, column: column.name } };
  const refusals = refusalsOf({ table, request, survey, column, key });

  const warnings = walWarnings({ table, request, survey, column });

  const claim = namer(table.namesInSchema);
  const names = makeNames(table, id, claim);
  const leaves = column === null ? [] : planLeaves(table, column, request, survey, claim);
  const partitionBy = column === null ? [] : [reference(column)];
  const sequences = planSequences(table, names, claim);
  const reserved = [
    ...[names.shadow, names.retired, names.failed],
    ...sequences.flatMap((sequence) => [sequence.shadowName, sequence.retiredName]),
  ];
  const indexes = key === null ? [] : planIndexes(table, key.name, partitionBy, leaves, claim, reserved);
  const facts = {
    id,
    source: table,
    names,
    request,
    key: key === null ? [] : columnsOf(table, key.columns),
    partitionBy,
    leaves,
    sequences,
  };
  return {
    version: 1,
    nonce,
    ...facts,
    keyIndexName: key?.name ?? "",
    indexes,
    writable: table.columns.filter((c) => c.generated === null).map((c) => c.name),
    hasIdentity: table.columns.some((c) => c.identity !== null),
    shadowDdl: column === null || key === null ? [] : shadowDdl(facts),
    refusals,
    consequences:
      column === null || key === null ? [] : consequencesOf({ table, request, column, key, leaves }),
    ...(warnings.length === 0 ? {} : { warnings }),
    forecast: forecast({ table, survey, leaves, indexes, partitionBy, sample, workers, buildBytes }),
    fingerprint,
  };
}

function planLeaves(
  table: TableInfo,
  column: ColumnInfo,
  request: MigrationRequest,
  survey: Survey,
  claim: (name: string) => string,
): Leaf[] {
  const { pieces } = layOut(request, column, survey);
  const leaves = pieces.map(({ part, bounds }) => ({
    name: claim(renderLeafName(request.leafTemplate, table.name, part)),
    bounds,
  }));
  // Last: what lists leaves in their order ends with it.
  if (hasFallback(request) && pieces.length > 0)
    leaves.push({ name: claim(`${table.name}_default`), bounds: { kind: "default" } });
  const rows = estimateRows(
    request.scheme,
    column,
    survey,
    leaves.map(({ bounds }) => bounds),
  );
  return leaves.map((leaf, at) => ({ ...leaf, estimatedRows: rows[at] ?? null }));
}

function columnsOf(table: TableInfo, names: readonly (string | null)[]): ColumnRef[] {
  return names.flatMap((name) => {
    const column = table.columns.find((c) => c.name === name);
    return column === undefined ? [] : [reference(column)];
  });
}

function reference(column: ColumnInfo): ColumnRef {
  return { name: column.name, type: column.type };
}

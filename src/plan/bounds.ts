/** Which leaves a table gets: contiguous, half-open, in UTC, from the oldest row to `ahead` leaves past the newest. */
import type { ColumnInfo } from "../catalog/types.js";
import { type LeafPart, renderLeafName } from "../config/template.js";
import { PartwayError } from "../errors.js";
import { instantText, intervalOf, parseHours, startOf } from "./calendar.js";
import { canonical, partitionColumn } from "./columns.js";
import { freeName } from "./names.js";
import { floorStep, intervalsOf, LIMITS, TIME_TYPES, type TimeType } from "./reach.js";
import type { Interval, Leaf, LeafBounds, MigrationRequest, Plan, Refusal, Scheme, Survey } from "./types.js";

/** Above this, planning and locking every leaf costs more than partitioning gains. */
export const MAX_LEAVES = 5000;

/** A leaf before it has a name. */
export interface Piece {
  part: LeafPart;
  bounds: LeafBounds;
}

type Outcome = { pieces: Piece[]; refusal: Refusal | null };

/** The leaves for what the survey saw, or why there can be none. `column` is the partition column. */
export function layOut(request: MigrationRequest, column: ColumnInfo, survey: Survey): Outcome {
  const { scheme } = request;
  switch (scheme.kind) {
    case "range-time":
      return layOutTime(scheme, request.ahead, column, survey);
    case "range-int":
      return layOutInt(scheme, request.ahead, column, survey);
    case "hash":
      return {
        pieces: Array.from({ length: scheme.modulus }, (_, remainder) => ({
          part: { kind: "hash", remainder },
          bounds: { kind: "hash", modulus: scheme.modulus, remainder },
        })),
        refusal: null,
      };
    case "list":
      return {
        pieces: [...new Set(scheme.values.map((value) => canonical(value, column)))].map(listPiece),
        refusal: null,
      };
  }
}

/**
 * The leaf that a late row's partition value needs: the plan's own where it has one, else a new leaf on the same
 * grid. `value` is the value's text in UTC, as the server prints it. Errors: stopped, for a value that no leaf can
 * hold (infinity, beyond the type).
 */
export function leafFor(plan: Plan, value: string): Leaf {
  const piece = pieceFor(plan.request.scheme, partitionColumn(plan), value);
  if (piece === null) throw unholdable(value, plan.names.source);
  return named(plan, piece);
}

/**
 * Leaves that the plan does not have, for the interval of `value` (for time: now) and the `ahead` that follow it.
 * Empty for hash and list, which do not grow, and for a value that no leaf can hold.
 */
export function aheadLeaves(plan: Plan, value: string, ahead: number): Leaf[] {
  const { scheme } = plan.request;
  const column = partitionColumn(plan);
  const first = scheme.kind === "list" ? null : pieceFor(scheme, column, value);
  if (first === null) return [];
  const known = new Set(plan.leaves.map((leaf) => boundsKey(leaf.bounds)));
  const pieces = [first, ...Array.from({ length: ahead }, (_, i) => after(first, i + 1, column))];
  return pieces
    .filter((piece) => piece !== null && !known.has(boundsKey(piece.bounds)))
    .flatMap((piece) => (piece === null ? [] : [named(plan, piece)]));
}

/** The piece `count` places after `piece`; null where the type ends. */
function after({ part }: Piece, count: number, column: ColumnInfo): Piece | null {
  if (part.kind === "range-time")
    return timePiece(intervalOf(part.start, part.every) + count, part.every, column);
  if (part.kind !== "range-int") return null;
  const from = part.from + BigInt(count) * part.step;
  return fitsType(from + part.step, column) ? intPiece(from, part.step, column) : null;
}

/** `FOR VALUES ...` is made of this; also what tells two leaves apart. */
export function boundsKey(bounds: LeafBounds): string {
  switch (bounds.kind) {
    case "range":
      return `range ${bounds.from} ${bounds.to}`;
    case "hash":
      return `hash ${bounds.modulus} ${bounds.remainder}`;
    case "list":
      return `list ${bounds.value}`;
    case "default":
      return "default";
  }
}

/** The piece of the grid that holds `value`; null for a value that no leaf can hold, and for hash. */
export function pieceFor(scheme: Scheme, column: ColumnInfo, value: string): Piece | null {
  switch (scheme.kind) {
    case "range-time": {
      const hours = parseHours(value);
      if (hours === null) return null;
      const index = intervalOf(hours, scheme.every);
      const { first, end } = intervalsOf(scheme.every, timeType(column));
      return index < first || index >= end ? null : timePiece(index, scheme.every, column);
    }
    case "range-int": {
      const integer = parseInteger(value);
      const step = BigInt(scheme.step);
      if (integer === null) return null;
      const from = floorStep(integer, step);
      return fitsType(from + step, column) ? intPiece(from, step, column) : null;
    }
    case "list":
      return listPiece(canonical(value, column));
    case "hash":
      return null;
  }
}

function layOutTime(
  scheme: Extract<Scheme, { kind: "range-time" }>,
  ahead: number,
  column: ColumnInfo,
  survey: Survey,
): Outcome {
  const now = parseHours(survey.now);
  if (now === null) throw new Error(`the survey's clock is not readable: ${survey.now}`);
  const { every } = scheme;
  const current = intervalOf(now, every);
  if (survey.min === null || survey.max === null)
    return timePieces(current - 1, current + ahead, every, column);
  const [least, most] = [parseHours(survey.min), parseHours(survey.max)];
  // Infinity has a refusal of its own (refusals/infinite-values.ts).
  if (least === null || most === null) return { pieces: [], refusal: null };
  const first = Math.min(intervalOf(least, every), current);
  const last = Math.max(intervalOf(most, every), current) + ahead;
  if (last - first + 1 <= MAX_LEAVES) return timePieces(first, last, every, column);
  const outlier = now - least >= most - now ? survey.min : survey.max;
  return tooMany(last - first + 1, column, outlier, `--every ${coarser(every)}`);
}

function timePieces(first: number, last: number, every: Interval, column: ColumnInfo): Outcome {
  const pieces: Piece[] = [];
  for (let i = first; i <= last; i++) pieces.push(timePiece(i, every, column));
  return { pieces, refusal: null };
}

function timePiece(index: number, every: Interval, column: ColumnInfo): Piece {
  const type = timeType(column);
  const [start, end] = [startOf(index, every), startOf(index + 1, every)];
  return {
    part: { kind: "range-time", every, start },
    bounds: { kind: "range", from: instantText(start, type), to: instantText(end, type) },
  };
}

function timeType(column: ColumnInfo): TimeType {
  return TIME_TYPES[column.baseType] ?? "timestamptz";
}

function layOutInt(
  scheme: Extract<Scheme, { kind: "range-int" }>,
  ahead: number,
  column: ColumnInfo,
  survey: Survey,
): Outcome {
  const step = BigInt(scheme.step);
  const least = survey.min === null ? 0n : parseInteger(survey.min);
  const most = survey.max === null ? 0n : parseInteger(survey.max);
  if (least === null || most === null) return { pieces: [], refusal: null };
  const first = floorStep(least, step);
  const last = floorStep(most, step);
  const count = (last - first) / step + 1n + BigInt(ahead);
  if (count > BigInt(MAX_LEAVES))
    return tooMany(
      Number(count),
      column,
      outlyingInteger(survey, least, most),
      `a larger --step than ${scheme.step}`,
    );
  if (!fitsType(last + step, column))
    return { pieces: [], refusal: beyondType(column, scheme.step, String(most)) };
  const pieces: Piece[] = [];
  for (let from = first; from <= last + BigInt(ahead) * step; from += step)
    if (fitsType(from + step, column)) pieces.push(intPiece(from, step, column));
  return { pieces, refusal: null };
}

function intPiece(from: bigint, step: bigint, column: ColumnInfo): Piece {
  const least = LIMITS[column.baseType]?.least;
  // The lowest leaf may start below the type; its bound then is the type's least value, which loses nothing.
  const lower = least !== undefined && from < least ? least : from;
  return {
    part: { kind: "range-int", from, step },
    bounds: { kind: "range", from: String(lower), to: String(from + step) },
  };
}

function listPiece(value: string): Piece {
  return { part: { kind: "list", value }, bounds: { kind: "list", value } };
}

function named(plan: Plan, piece: Piece): Leaf {
  const key = boundsKey(piece.bounds);
  const planned = plan.leaves.find((leaf) => boundsKey(leaf.bounds) === key);
  if (planned !== undefined) return planned;
  const { names, source, leaves, request } = plan;
  const taken = [
    ...source.namesInSchema,
    ...leaves.map((leaf) => leaf.name),
    names.shadow,
    names.retired,
    names.failed,
  ];
  const name = freeName(renderLeafName(request.leafTemplate, names.source, piece.part), new Set(taken));
  return { name, bounds: piece.bounds, estimatedRows: null };
}

/** A whole number; null for anything else. */
function parseInteger(text: string): bigint | null {
  return /^-?\d+$/.test(text.trim()) ? BigInt(text.trim()) : null;
}

/** A bound must be a value of the column's type. */
function fitsType(bound: bigint, column: ColumnInfo): boolean {
  const limits = LIMITS[column.baseType];
  return limits === undefined || bound <= limits.largest;
}

function unholdable(value: string, where: string): PartwayError {
  return new PartwayError("stopped", {
    what: `a row arrived whose partition value ${value} fits no leaf (${where})`,
    state: "The source is untouched and in use; what was copied is kept.",
    next: "Correct or remove that row, then run the same command again: it resumes. A migration with --null-keys default-leaf takes such rows.",
  });
}

/** The value that makes the span long: the one farther from the sample's middle, else from zero. */
function outlyingInteger(survey: Survey, least: bigint, most: bigint): string {
  const sorted = survey.sample.values
    .map(parseInteger)
    .filter((value) => value !== null)
    .sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const middle = sorted[Math.floor(sorted.length / 2)] ?? 0n;
  return middle - least > most - middle ? String(least) : String(most);
}

function coarser(every: Interval): string {
  const order: Interval[] = ["hour", "day", "week", "month", "quarter", "year"];
  return order[order.indexOf(every) + 1] ?? "year";
}

function tooMany(count: number, column: ColumnInfo, outlier: string, option: string): Outcome {
  return {
    pieces: [],
    refusal: {
      code: "too-many-leaves",
      what: `${count} leaves would be needed; at most ${MAX_LEAVES} are made. Farthest out is ${column.name} = ${outlier}.`,
      why: "Every leaf is a table to plan, lock and vacuum, and one wrong value can stretch the span over centuries.",
      remedy: `Correct or delete the rows with ${column.name} = ${outlier} if that value is a mistake, else choose ${option}.`,
    },
  };
}

function beyondType(column: ColumnInfo, step: string, most: string): Refusal {
  return {
    code: "leaf-beyond-type",
    what: `the leaf that holds ${column.name} = ${most} would end above the largest ${column.type}`,
    why: `Leaves are multiples of ${step}, and a bound must be a value of the column's type.`,
    remedy: `Choose a smaller --step, or --null-keys default-leaf, or widen the column first: ALTER TABLE ... ALTER COLUMN "${column.name}" TYPE bigint (this rewrites the table).`,
  };
}

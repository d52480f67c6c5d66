/** The plan's forecast against what happened: seconds by phase, disk, WAL. */
import { bytes, duration } from "../../../ui/format.js";
import { phaseForecast } from "../../plan/forecast.js";
import { type Block, type Cell, NOT_MEASURED, type Section, toned } from "../doc.js";
import { eventsOf, type History } from "../history.js";
import { type Stretch, stretchesOf, workedMs } from "../story.js";

/** What a forecast is held to be right within. */
const WITHIN = 0.25;

export function forecastSection(history: History): Section {
  const { forecast } = history.plan;
  const stretches = stretchesOf(history);
  const complete = history.validations.some(({ result }) => result === "equal");
  const worked = workedMs(stretches, ["shadow", "copy", "index", "validate"]);
  return {
    title: "Forecast and what happened",
    blocks: [
      {
        kind: "table",
        head: ["", "forecast", "happened", "happened / forecast"],
        right: [3],
        rows: [
          ...phaseForecast(forecast).map(({ phase, low, high }) =>
            time(phase, { low, high }, workedMs(stretches, [phase]), isDone(stretches, phase)),
          ),
          time("copy, indexes and validation", forecast.seconds, worked, complete),
          ...disk(history),
          wal(history, complete),
        ],
      },
      ...(worked > 0 ? [] : [NOT_MEASURED]),
      ...notes(history),
    ],
  };
}

/** Its last stretch came to its end. */
function isDone(stretches: readonly Stretch[], phase: string): boolean {
  return stretches.findLast(({ state }) => state === phase)?.how === "done";
}

function time(what: string, { low, high }: { low: number; high: number }, ms: number, done: boolean): Cell[] {
  const seconds = ms / 1000;
  const ratio = low > 0 ? `${(seconds / low).toFixed(2)} of ${duration(low * 1000)}` : "";
  return [
    what,
    `${duration(low * 1000)} to ${duration(high * 1000)}`,
    ms > 0 ? `${duration(ms)}${done ? "" : " so far"}` : "not yet",
    // Between the two it is as it was said.
    done && ms > 0 ? toned(ratio, seconds > high ? "warn" : "good") : "",
  ];
}

function amount(what: string, said: number, happened: number | null, of = ""): Cell[] {
  if (happened === null) return [what, bytes(said), "not measured", ""];
  const ratio = said > 0 ? happened / said : null;
  const isNear = ratio !== null && ratio <= 1 + WITHIN && ratio >= 1 - WITHIN;
  return [
    what,
    bytes(said),
    `${bytes(happened)}${of}`,
    ratio === null ? "" : toned(ratio.toFixed(2), isNear ? "good" : "warn"),
  ];
}

/** The new table at the end of validation; by its parts where the plan had a sample. */
function disk(history: History): Cell[][] {
  const { forecast } = history.plan;
  const added = eventsOf(history, "sizes").at(-1)?.partitioned ?? null;
  const table = added === null ? null : added.heap + added.toast + added.indexes;
  const parts = forecast.disk;
  if (parts === undefined) return [amount("extra disk for the new table", forecast.extraDiskBytes, table)];
  const log = history.measurements.findLast(({ name }) => name === "change-log-bytes")?.value ?? null;
  return [
    amount("new table: rows", parts.heap + parts.toast, added === null ? null : added.heap + added.toast),
    amount("new table: indexes", parts.indexes, added?.indexes ?? null),
    amount("new table", parts.heap + parts.toast + parts.indexes, table),
    parts.log > 0 || log === null
      ? amount("change log", parts.log, log)
      : ["change log", "not known", bytes(log), ""],
    ["extra disk at its peak, with WAL kept", bytes(forecast.extraDiskBytes), "not measured", ""],
  ];
}

/** From the beginning of the copy to the end of validation, as far as it has come. */
function wal(history: History, complete: boolean): Cell[] {
  const positions = history.measurements
    .filter(({ name }) => name === "wal-position")
    .map(({ value }) => value);
  const written = positions.length < 2 ? null : (positions.at(-1) ?? 0) - (positions[0] ?? 0);
  const { walBytes } = history.plan.forecast;
  if (complete || written === null) return amount("WAL", walBytes, written, " by the whole server");
  return ["WAL", bytes(walBytes), `${bytes(written)} by the whole server so far`, ""];
}

function notes({ plan }: History): Block[] {
  const text =
    plan.forecast.sampled === true
      ? "Times are compared with the shorter one. Disk of WAL that was kept cannot be seen without pg_monitor; what the application wrote meanwhile is in its WAL and its change log, not in the forecast's."
      : "No sample was taken when it was planned.";
  return [{ kind: "text", text, tone: "quiet" }];
}

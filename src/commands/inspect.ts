/** The commands that only look: list, status, verify. */
import type { Command } from "commander";
import { batchesText } from "../../ui/copied.js";
import type { ConnectOptions, StateOptions } from "../api.js";
import { parseSettings } from "../config/request.js";
import { EXIT } from "../errors.js";
import { type CatalogDiff, diff, list, type StatusReport, status, verify } from "../inspect.js";
import { listDocument, statusDocument } from "../schema/status.js";
import { disparityLine } from "../sync/likeness.js";
import { keeps } from "../wal/slot.js";
import type { Act } from "./act.js";
import { example, withConnection, withJson, withState } from "./options.js";

type Options = ConnectOptions & StateOptions & { json?: boolean };

export function inspectCommands(program: Command, act: Act): void {
  const listing = program.command("list").description("every migration in the journal, newest first");
  withJson(withState(listing));
  example(listing, "partway list");
  listing.action((options: Options) =>
    act(options, async () => {
      const rows = list(options);
      print(options, listDocument(rows), () =>
        rows.map((r) => `${r.id}  ${r.table}  ${r.outcome ?? r.state}  ${r.server}  ${r.updatedAt}`),
      );
      return EXIT.done;
    }),
  );

  const stat = program
    .command("status [id]")
    .description("where a migration stands, by the journal and by the database");
  withJson(withState(withConnection(stat)));
  example(stat, "partway status --json");
  stat.action((id: string | undefined, options: Options) =>
    act(options, async () => {
      const report = await status({ ...options, id });
      print(options, statusDocument(report), () => statusLines(report));
      return EXIT.done;
    }),
  );

  const check = program
    .command("verify [id]")
    .description("compare both sides again, at any time, also during the retention window; reads only")
    .option("--workers <n>", "connections (default 2)");
  withJson(withState(withConnection(check)));
  example(check, "partway verify orders_3f9a1c");
  check.action((id: string | undefined, options: Options & { workers?: string }) =>
    act(options, async () => {
      const { workers } = parseSettings({ workers: options.workers });
      const result = await verify({ ...options, id, workers });
      const { direction, live, lagging, excluded, ms } = result;
      print(options, { result: "equal", direction, live, lagging, excluded, ms }, () => [
        `equal: ${live.rows} rows on both sides, hash ${live.hash}, ${excluded} keys in the change log left out, ${Math.round(ms)} ms`,
      ]);
      return EXIT.done;
    }),
  );

  const differ = program
    .command("diff [id]")
    .description(
      "compare the catalog: everything the source had against the table that stands for it now; reads only",
    );
  withJson(withState(withConnection(differ)));
  example(differ, "partway diff orders_3f9a1c");
  differ.action((id: string | undefined, options: Options) =>
    act(options, async () => {
      const found = await diff({ ...options, id });
      print(options, found, () => diffLines(found));
      return found.unexpected.length === 0 ? EXIT.done : EXIT.difference;
    }),
  );
}

const WHICH: Record<CatalogDiff["stage"], string> = {
  shadow: "the new table before cutover",
  new: "the new table, under the application's name",
  source: "the old table again",
};

function diffLines({ table, stage, facts, expected, unexpected }: CatalogDiff): string[] {
  const section = (title: string, list: CatalogDiff["expected"]) =>
    list.length === 0 ? [] : ["", title, ...list.map((one) => `  ${disparityLine(one)}`)];
  return [
    `${table}: ${WHICH[stage]}, against the source as the plan found it`,
    `${facts} facts compared, ${unexpected.length} ${unexpected.length === 1 ? "difference" : "differences"} that nothing explains, ${expected.length} that must be`,
    ...section("Differences", unexpected),
    ...section("As it must be", expected),
  ];
}

function print(options: { json?: boolean }, value: unknown, lines: () => string[]): void {
  process.stdout.write(options.json === true ? `${JSON.stringify(value)}\n` : `${lines().join("\n")}\n`);
}

function statusLines(report: StatusReport): string[] {
  const { database: db, driver } = report;
  const lines = [
    `${report.id}  ${report.table}  on ${report.server}`,
    `state      ${report.outcome ?? report.state}${report.state === "halted" ? ` (goes on at ${report.position})` : ""}`,
    `driver     ${driver === null ? "none: no process is running it" : `process ${driver.pid} on ${driver.host}`}`,
  ];
  if (!db.reachable) lines.push(`database   not reachable: ${db.why}`);
  else if (!db.known) lines.push("database   has no record of it: it ended, or this is another database");
  else {
    lines.push(
      `database   next phase ${db.phase}${db.keysBehind === null ? "" : `, ${db.keysBehind} ${db.keysBehind === 1 ? "key" : "keys"} in the change log`}`,
    );
    if (db.deadline !== null) lines.push(`window     until ${db.deadline} (${db.secondsLeft} s left)`);
    if (db.verdict !== null) lines.push(`verdict    ${db.verdict}`);
    if (db.slot !== null) lines.push(`slot       ${keeps(db.slot)}`);
  }
  const { copy, validation, cutover } = report.view;
  if (copy !== null) lines.push(`copy       ${copy.rowsDone} rows in ${batchesText(copy)}`);
  if (validation !== null) lines.push(`validated  ${validation.result}, ${validation.rows} rows`);
  if (cutover !== null)
    lines.push(
      `cutover    held ${Math.round(cutover.heldMs)} ms, longest stall ${Math.round(cutover.longestStallMs)} ms, ${cutover.tries} tries`,
    );
  lines.push(`next       ${report.next}`);
  return lines;
}

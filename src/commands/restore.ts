import type { Command } from "commander";
import type { ConnectOptions } from "../api.js";
import { targetOf } from "../api.js";
import { restoreBackup } from "../backup/restore.js";
import { EXIT } from "../errors.js";
import type { Act } from "./act.js";
import { example, withConnection, withJson } from "./options.js";

type Options = ConnectOptions & { into?: string; keep?: boolean; json?: boolean };

export function restoreCommand(program: Command, act: Act): void {
  const command = program
    .command("restore <backup>")
    .description(
      "restore a backup into a scratch schema and compare its rows and content hash with the manifest",
    )
    .option("--into <schema>", "scratch schema (default partway_restore_<id>)")
    .option("--keep", "leave the restored table there");
  withJson(withConnection(command));
  example(
    command,
    "partway restore .partway/backups/orders_3f9a1c",
    "partway restore .partway/backups/orders_3f9a1c --into rescue --keep",
  );
  command.action((dir: string, options: Options) =>
    act(options, async () => {
      const { into, keep } = options;
      const report = await restoreBackup({
        dir,
        target: await targetOf(options),
        into: { keep: keep === true, ...(into === undefined ? {} : { schema: into }) },
      });
      const { rows, hash, schema, kept } = report;
      process.stdout.write(
        options.json === true
          ? `${JSON.stringify(report)}\n`
          : `equal: ${rows} rows, hash ${hash}; ${kept ? `kept in schema ${schema}` : "the scratch schema was dropped again"}\n`,
      );
      return EXIT.done;
    }),
  );
}

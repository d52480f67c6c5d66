/** `partway report`: one page about one migration, whatever became of it, with or without its server. */
import { redact } from "../state/journal-secrets.js";
import type { ConnectOptions, StateOptions } from "./api.js";
import { targetOf, withSession } from "./api.js";
import { partitionedOid, sizesNow } from "./checks/sizes.js";
import { openJournal, pickMigration } from "./engine/state-dir.js";
import { messageOf } from "./errors.js";
import { status } from "./inspect.js";
import type { Plan } from "./plan/types.js";
import { documentOf } from "./report/document.js";
import { type History, readHistory } from "./report/history.js";
import { renderMarkdown } from "./report/markdown.js";
import { version } from "./version.js";

export type ReportFormat = "html" | "md";

export interface ReportOptions extends ConnectOptions, StateOptions {
  /** Default: the only open migration, else the newest. */
  id?: string | undefined;
  format: ReportFormat;
}

/** The report's text. Reads only; a server that cannot be reached is said in it. Errors: bad-input for the id. */
export async function report(options: ReportOptions): Promise<string> {
  const doc = documentOf(await historyOf(options));
  const page = async (): Promise<string> => (await import("./report/page.js")).renderHtml(doc);
  // A password that somebody wrote into a query or a comment of the table is nobody's business either.
  return redact(options.format === "html" ? await page() : renderMarkdown(doc));
}

async function historyOf(options: ReportOptions): Promise<History> {
  const journal = openJournal(options.state);
  try {
    const record = pickMigration(journal, options.id, true);
    const known = readHistory(journal, record);
    const { database, next } = await status({ ...options, id: record.id });
    const sizes = database.reachable
      ? await currentSizes(options, known.plan)
      : { why: "the server could not be asked" };
    return { ...known, database, sizes, next, madeAt: new Date().toISOString(), madeBy: version() };
  } finally {
    journal.close();
  }
}

/** The server, reached a moment ago, may not answer: the report is made all the same, and says so. */
async function currentSizes(options: ReportOptions, plan: Plan): Promise<History["sizes"]> {
  try {
    return await withSession(await targetOf(options), async (session) =>
      sizesNow(session, plan, await partitionedOid(session, plan)),
    );
  } catch (error) {
    return { why: messageOf(error) };
  }
}

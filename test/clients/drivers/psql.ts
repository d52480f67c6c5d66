/** psql: one long session with statements made by PREPARE, and \copy in and out of files. */
import { execFileSync, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { isDeepStrictEqual } from "node:util";
import type { Driver, Row } from "./driver.js";

/** Whether the machine has a psql (apt-get install postgresql-client). */
export function hasPsql(): boolean {
  try {
    execFileSync("psql", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

const PREPARED = `
PREPARE ins AS INSERT INTO orders (note, amount, created_at) VALUES ($1, $2, $3) RETURNING id;
PREPARE rd AS SELECT note, amount, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') FROM orders WHERE id = $1;
PREPARE upd AS UPDATE orders SET note = $2 WHERE id = $1;
PREPARE mov AS UPDATE orders SET created_at = $2 WHERE id = $1;
PREPARE del AS DELETE FROM orders WHERE id = $1;
`;
/** psql says this after each command: its output has ended, and this is how many rows it met. */
const END = "--end--";

/** A psql that reads its commands from a pipe. Every word it says on stderr fails the command. */
export async function openPsql(url: string): Promise<Driver> {
  const dir = await mkdtemp(join(tmpdir(), "partway-psql-"));
  const child = spawn("psql", ["-X", "-q", "-A", "-t", "-d", url], { stdio: ["pipe", "pipe", "pipe"] });
  let errors = "";
  child.stderr.on("data", (data: Buffer) => {
    errors += data.toString();
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  let said: string[] = [];
  let answer: ((lines: string[]) => void) | null = null;
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => {
    said.push(line);
    if (!line.startsWith(END)) return;
    const all = said;
    said = [];
    answer?.(all);
  });
  const type = async (command: string): Promise<{ rows: string[]; count: number }> => {
    const answered = new Promise<string[]>((resolve) => {
      answer = resolve;
    });
    child.stdin.write(`${command}\n\\echo ${END} :ROW_COUNT :ERROR\n`);
    const all = await Promise.race([answered, ended.then(() => null)]);
    const [, count, failed] = all?.at(-1)?.split(" ") ?? [];
    if (all === null || failed !== "false" || errors !== "") throw new Error(`psql: ${errors}`);
    return { rows: all.slice(0, -1), count: Number(count) };
  };
  await type(PREPARED);
  const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;
  let inserts = 0;
  /** EXECUTE takes its snapshot before it waits for the swap (snapshot.test.ts): what met nothing is asked again. */
  const twice = async <T>(work: () => Promise<T>): Promise<T> => (await work()) || (await work());

  /** Takes an id from the sequence, then \copy: what a nightly load does. */
  const copyIn = async ({ note, amount, at }: Row): Promise<string> => {
    const { rows } = await type("SELECT nextval(pg_get_serial_sequence('orders', 'id'));");
    const id = rows[0] ?? "";
    const file = join(dir, "in.tsv");
    await writeFile(file, `${id}\t${note}\t${amount}\t${at}\n`);
    const { count } = await type(`\\copy orders (id, note, amount, created_at) from ${quoted(file)}`);
    if (count !== 1) throw new Error(`\\copy said COPY ${count}`);
    return id;
  };
  const copyOut = async (id: string): Promise<Row | null> => {
    const file = join(dir, "out.tsv");
    await type(
      `\\copy (SELECT note, amount, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') FROM orders WHERE id = ${id}) to ${quoted(file)}`,
    );
    const [note = "", amount = "", at = ""] = (await readFile(file, "utf8")).trimEnd().split("\t");
    return note === "" ? null : { note, amount, at };
  };
  const prepared = async (id: string): Promise<Row | null> => {
    const [note, amount, at] = (await type(`EXECUTE rd(${id});`)).rows[0]?.split("|") ?? [];
    return note === undefined || amount === undefined || at === undefined ? null : { note, amount, at };
  };
  return {
    pid: async () => Number((await type("SELECT pg_backend_pid();")).rows[0]),
    insert: async (row) => {
      inserts += 1;
      if (inserts % 2 === 0) return copyIn(row);
      const values = [row.note, row.amount, row.at].map(quoted).join(", ");
      return (await type(`EXECUTE ins(${values});`)).rows[0] ?? "";
    },
    read: async (id) => {
      const once = inserts % 2 === 0 ? () => copyOut(id) : () => prepared(id);
      // One of two may have waited for the swap, and then shows the row as it was a moment before, or deleted: still there.
      const [first, second] = [await once(), await once()];
      return isDeepStrictEqual(first, second) ? second : once();
    },
    update: (id, note) => twice(async () => (await type(`EXECUTE upd(${id}, ${quoted(note)});`)).count),
    move: (id, at) => twice(async () => (await type(`EXECUTE mov(${id}, ${quoted(at)});`)).count),
    remove: (id) => twice(async () => (await type(`EXECUTE del(${id});`)).count),
    close: async () => {
      child.stdin.end("\\q\n");
      await ended;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

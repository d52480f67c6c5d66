/** Rows in COPY's text format on their way through: found in a pg_restore script, counted. Bytes, never strings. */

const LINE_END = 0x0a;
/** A line of `\.` ends the rows; a row cannot look like it, because COPY writes a backslash as two. */
const END_MARK = Buffer.from("\n\\.\n");
/** The longest COPY statement is 1600 names of 63 bytes, quotes doubled: 210 kB. What comes before is smaller. */
const LONGEST_PREAMBLE = 1024 * 1024;

/** The script ended, or went on for too long, without a complete COPY block: the archive is not whole. */
export class NoCopyBlock extends Error {
  constructor(what: string) {
    super(what);
    this.name = "NoCopyBlock";
  }
}

/** How many line ends `chunk` has; in the text format each is one row. */
export function countLines(chunk: Buffer): number {
  let lines = 0;
  for (let at = chunk.indexOf(LINE_END); at !== -1; at = chunk.indexOf(LINE_END, at + 1)) lines++;
  return lines;
}

/** Hands `rows` on and reports how many rows and bytes have passed so far. */
export async function* counted(
  rows: AsyncIterable<Buffer | string>,
  passed: (sofar: { rows: number; bytes: number }) => void,
): AsyncGenerator<Buffer> {
  const sofar = { rows: 0, bytes: 0 };
  for await (const piece of rows) {
    const chunk = typeof piece === "string" ? Buffer.from(piece) : piece;
    sofar.rows += countLines(chunk);
    sofar.bytes += chunk.length;
    passed(sofar);
    yield chunk;
  }
}

/**
 * The rows of the first COPY block in a script of pg_restore, whose columns must be `columns`. Everything else in the
 * script is read and dropped. Errors: NoCopyBlock.
 */
export async function* copyBlock(
  script: AsyncIterable<Buffer>,
  columns: readonly string[],
): AsyncGenerator<Buffer> {
  let held: Buffer = Buffer.alloc(0);
  let at: "before" | "rows" | "after" = "before";
  // `held` begins with the line end of the COPY statement, so that an empty block ends like any other; it is no row.
  let skip = 1;
  for await (const chunk of script) {
    if (at === "after") continue;
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    if (at === "before") {
      const header = findHeader(held);
      if (header === null) {
        if (held.length > LONGEST_PREAMBLE)
          throw new NoCopyBlock("the archive's script has no COPY statement");
        continue;
      }
      assertColumns(header.columns, columns);
      held = held.subarray(header.end - 1);
      at = "rows";
    }
    const end = held.indexOf(END_MARK);
    if (end !== -1) at = "after";
    const upTo = end === -1 ? held.length - END_MARK.length + 1 : end + 1;
    if (upTo < 1) continue;
    if (upTo > skip) yield held.subarray(skip, upTo);
    held = held.subarray(upTo);
    skip = 0;
  }
  if (at !== "after") throw new NoCopyBlock("the archive ends before the table's data does");
}

/**
 * The first `COPY table (columns) FROM stdin;` line and the offset just after it. Quoted names may hold anything, line
 * ends and ` FROM stdin;` too. Read as latin1, so that offsets are bytes.
 */
function findHeader(script: Buffer): { end: number; columns: string[] } | null {
  const text = script.toString("latin1");
  const start = /^COPY /m.exec(text)?.index;
  if (start === undefined) return null;
  let quoted = false;
  let list = 0;
  for (let i = start; i < text.length; i++) {
    if (text[i] === '"') quoted = !quoted;
    if (quoted) continue;
    if (text[i] === "(" && list === 0) list = i + 1;
    if (text.startsWith(") FROM stdin;\n", i))
      return { end: i + ") FROM stdin;\n".length, columns: namesIn(text.slice(list, i)) };
  }
  return null;
}

function namesIn(list: string): string[] {
  const names = list.matchAll(/"((?:[^"]|"")*)"|[^\s,]+/g);
  return [...names].map(([plain, quoted]) =>
    Buffer.from(quoted === undefined ? plain : quoted.replaceAll('""', '"'), "latin1").toString("utf8"),
  );
}

/** Names beyond ASCII are in the archive's encoding, which may not be UTF-8: of them only the place is compared. */
function assertColumns(found: readonly string[], wanted: readonly string[]): void {
  const ascii = (names: readonly string[]) => names.map((name) => name.replace(/[^\0-\x7f]+/g, "?"));
  if (JSON.stringify(ascii(found)) !== JSON.stringify(ascii(wanted)))
    throw new NoCopyBlock(`the archive has the columns ${found.join(", ")} and not ${wanted.join(", ")}`);
}

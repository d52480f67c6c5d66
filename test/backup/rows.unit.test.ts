import fc from "fast-check";
import { expect, test } from "vitest";
import { copyBlock, counted, countLines, NoCopyBlock } from "../../src/backup/rows.js";

const COLUMNS = ["id", 'na"me\n) FROM stdin;\n\\.\nx', "größe", "plain"];
const HEAD = `--\n-- Data for Name: COPY t; Type: TABLE DATA\n--\n\n\\restrict abc\nSET client_encoding = 'UTF8';\n
COPY "Odd ""S"" (x) FROM stdin;
".t (id, "na""me\n) FROM stdin;\n\\.\nx", "größe", plain) FROM stdin;\n`;
const TAIL = "\\.\n\n\n--\n-- done\n--\n\n\\unrestrict abc\n";

async function* inPieces(text: string, cuts: readonly number[]): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text);
  const ends = [...new Set(cuts.map((cut) => cut % bytes.length))].sort((a, b) => a - b);
  let from = 0;
  for (const end of [...ends, bytes.length]) {
    if (end > from) yield bytes.subarray(from, end);
    from = end;
  }
}

async function rowsOf(script: string, cuts: readonly number[]): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of copyBlock(inPieces(script, cuts), COLUMNS)) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

test.each(["", "1\ta\tb\tc\n", "\\\\.\t\\N\t\\\\.\t\\n\n\\\\.\n", "\n\n\n"])(
  "rows would be lost where the script is cut into pieces: %j",
  async (rows) => {
    const script = HEAD + rows + TAIL;
    const length = Buffer.byteLength(script);
    for (let cut = 1; cut < length; cut++) expect(await rowsOf(script, [cut])).toBe(rows);
    expect(
      await rowsOf(
        script,
        Array.from({ length }, (_, i) => i),
      ),
    ).toBe(rows);
  },
);

test("rows would be lost where the script is cut into many pieces", async () => {
  const line = fc
    .string({ unit: fc.constantFrom("a", "\t", "\\\\", "\\N", ".", "ü", "😀") })
    .map((s) => `${s}\n`);
  await fc.assert(
    fc.asyncProperty(fc.array(line), fc.array(fc.nat(5000)), async (lines, cuts) => {
      expect(await rowsOf(HEAD + lines.join("") + TAIL, cuts)).toBe(lines.join(""));
    }),
  );
});

test("an archive that ends too early would pass for whole", async () => {
  const script = `${HEAD}1\ta\tb\tc\n2\ta\tb\tc\n`;
  await expect(rowsOf(script, [])).rejects.toThrow(NoCopyBlock);
  await expect(rowsOf(`${script}\\.`, [])).rejects.toThrow(NoCopyBlock);
  await expect(rowsOf(HEAD.slice(0, -9), [])).rejects.toThrow(NoCopyBlock);
  await expect(rowsOf("SELECT 1;\n", [])).rejects.toThrow(NoCopyBlock);
});

test("values would be restored into other columns than they came from", async () => {
  const script = "COPY public.t (id, other) FROM stdin;\n1\t2\n\\.\n";
  await expect(rowsOf(script, [])).rejects.toThrow("the archive has the columns id, other");
});

test("a script that never comes to its rows would fill the memory", async () => {
  async function* endless(): AsyncGenerator<Buffer> {
    for (;;) yield Buffer.alloc(64 * 1024, "-");
  }
  const reading = copyBlock(endless(), COLUMNS).next();
  await expect(reading).rejects.toThrow("no COPY statement");
});

test("the row count would be wrong", async () => {
  expect(countLines(Buffer.from("a\nb\n"))).toBe(2);
  expect(countLines(Buffer.from("\n\n\nrest"))).toBe(3);
  expect(countLines(Buffer.alloc(0))).toBe(0);
  let last = { rows: 0, bytes: 0 };
  const rows = counted(inPieces("1\n2\n3\n", [1, 2, 4]), (sofar) => {
    last = { ...sofar };
  });
  for await (const piece of rows) expect(piece.length).toBeGreaterThan(0);
  expect(last).toEqual({ rows: 3, bytes: 6 });
});

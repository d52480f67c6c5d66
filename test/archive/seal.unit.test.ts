/** What an operator would lose: rows that were changed, cut off or mixed up on the way, and taken for whole. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { readKey } from "../../src/archive/key.js";
import { plainBytesOf, seal, unseal, unsealFrom } from "../../src/archive/seal.js";

const PIECE = 64 * 1024;
const HEAD = 40;
const SEALED = PIECE + 16;
const KEY = randomBytes(32);

async function* cut(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function whole(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

const sealed = (plain: Buffer, size = 1000) => whole(seal(cut(plain, size), KEY));
const opened = (bytes: Buffer, size = 999, key = KEY) => whole(unseal(cut(bytes, size), key));

test.each([0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 7])(
  "%d bytes would not come back, however they are cut on the way",
  async (length) => {
    const plain = randomBytes(length);
    for (const size of [777, PIECE, 5 * PIECE]) {
      const bytes = await sealed(plain, size);
      expect((await opened(bytes, size)).equals(plain)).toBe(true);
      // Nothing of it can be read, and the same twice is not the same.
      expect(length > 16 && bytes.includes(plain.subarray(0, 16))).toBe(false);
      expect((await sealed(plain, size)).equals(bytes)).toBe(false);
    }
  },
);

test.each([1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7])(
  "the end of %d sealed bytes would be read as another part of them, or from another file's",
  async (length) => {
    const plain = randomBytes(length);
    const bytes = await sealed(plain);
    expect(plainBytesOf(bytes.length)).toBe(length);
    const from = (file: Buffer) => async (at: number) => cut(file.subarray(at), 999);
    for (const at of [0, 1, PIECE - 1, PIECE, 2 * PIECE, length - 1].filter((one) => one < length))
      expect((await whole(unsealFrom(from(bytes), KEY, at))).equals(plain.subarray(at)), String(at)).toBe(
        true,
      );
    const short = bytes.subarray(0, -1);
    await expect(whole(unsealFrom(from(short), KEY, length - 1))).rejects.toThrow(/cannot be opened/);
    const other = Buffer.concat([(await sealed(plain)).subarray(0, HEAD), bytes.subarray(HEAD)]);
    await expect(whole(unsealFrom(from(other), KEY, length - 1))).rejects.toThrow(/cannot be opened/);
  },
);

describe("three pieces and a bit", () => {
  const plain = randomBytes(3 * PIECE + 7);
  test("would be opened by another key", async () => {
    await expect(opened(await sealed(plain), 999, randomBytes(32))).rejects.toThrow(/another key/);
  });
  test.each([0, 8, 39, HEAD, HEAD + PIECE, HEAD + SEALED, HEAD + 3 * SEALED + 3, HEAD + 3 * SEALED + 22])(
    "would be taken for whole with a bit of byte %d turned",
    async (at) => {
      const bytes = await sealed(plain);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      await expect(opened(bytes)).rejects.toThrow(/cannot be opened/);
    },
  );
  test.each([
    ["nothing", 0],
    ["half a head", 20],
    ["the head", HEAD],
    ["one piece", HEAD + SEALED],
    ["a piece and a half", HEAD + SEALED + 5000],
    ["all but its short end", HEAD + 3 * SEALED],
    ["all but a byte", HEAD + 3 * SEALED + 22],
  ])("would be taken for whole when %s is left", async (_what, length) => {
    const bytes = await sealed(plain);
    expect(bytes).toHaveLength(HEAD + 3 * SEALED + 23);
    await expect(opened(bytes.subarray(0, length))).rejects.toThrow(/cannot be opened/);
  });
  test("would be taken for whole with two pieces exchanged, one twice, or something behind", async () => {
    const bytes = await sealed(plain);
    const piece = (n: number) => bytes.subarray(HEAD + n * SEALED, HEAD + (n + 1) * SEALED);
    const head = bytes.subarray(0, HEAD);
    for (const order of [
      [1, 0, 2, 3],
      [0, 0, 1, 2, 3],
      [0, 2, 3],
    ])
      await expect(opened(Buffer.concat([head, ...order.map(piece)]))).rejects.toThrow(/cannot be opened/);
    await expect(opened(Buffer.concat([bytes, Buffer.from("x")]))).rejects.toThrow(/cannot be opened/);
  });
});

describe("a key", () => {
  const dir = mkdtempSync(join(tmpdir(), "partway-key-"));
  afterEach(() => vi.unstubAllEnvs());
  const file = (text: string) => {
    const path = join(dir, "key");
    writeFileSync(path, text);
    return path;
  };
  test("would be read otherwise from a file, the environment, hexadecimal and base64", async () => {
    vi.stubEnv("ARCHIVE_KEY", KEY.toString("base64"));
    const ways = [
      await readKey({ keyFile: file(`${KEY.toString("hex")}\n`) }),
      await readKey({ keyFile: file(KEY.toString("base64")) }),
      await readKey({ keyEnv: "ARCHIVE_KEY" }),
    ];
    for (const key of ways) expect(key?.bytes.equals(KEY)).toBe(true);
    expect(new Set(ways.map((key) => key?.id)).size).toBe(1);
    expect(await readKey({})).toBeNull();
  });
  test.each(["", "secret", "a".repeat(63), "g".repeat(64), KEY.subarray(1).toString("base64")])(
    "would be made of %j, and shown",
    async (text) => {
      const failed = await readKey({ keyFile: file(text) }).then(() => null, String);
      expect(failed).toMatch(/not 32 bytes/);
      if (text !== "") expect(failed).not.toContain(text);
    },
  );
  test("would be done without, where it is not to be found", async () => {
    await expect(readKey({ keyFile: join(dir, "none") })).rejects.toMatchObject({ kind: "bad-input" });
    await expect(readKey({ keyEnv: "PARTWAY_NO_SUCH_KEY" })).rejects.toMatchObject({ kind: "bad-input" });
    rmSync(dir, { recursive: true });
  });
});

/**
 * Sealing a stream with AES-256-GCM in pieces of 64 kB, so that no byte is handed on before it is proven, and pieces can
 * neither be changed, left out, moved nor cut off: each has its number, and the last one a mark, in its nonce (STREAM, as
 * age does it: https://eprint.iacr.org/2015/189). The key of a file is made of the key and a salt of its own, so a nonce
 * is never used twice.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { badInput } from "../errors.js";

const MAGIC = Buffer.from("PARTWAY\u0001");
const SALT_BYTES = 32;
const HEAD_BYTES = MAGIC.length + SALT_BYTES;
const PIECE = 64 * 1024;
const TAG_BYTES = 16;
const CIPHER = "aes-256-gcm";

/** The head, then each piece with its tag. */
export async function* seal(plain: AsyncIterable<Buffer>, key: Buffer): AsyncGenerator<Buffer> {
  const salt = randomBytes(SALT_BYTES);
  yield Buffer.concat([MAGIC, salt]);
  const fileKey = keyOf(key, salt);
  for await (const { at, piece, isLast } of pieces(plain, PIECE)) {
    const cipher = createCipheriv(CIPHER, fileKey, nonce(at, isLast));
    yield Buffer.concat([cipher.update(piece), cipher.final(), cipher.getAuthTag()]);
  }
}

/** What was sealed. Errors: bad-input where it is not whole, was changed, or another key was used. */
export async function* unseal(sealed: AsyncIterable<Buffer>, key: Buffer): AsyncGenerator<Buffer> {
  const opening: Opening = { fileKey: null };
  yield* opened(
    afterHead(sealed, (head) => {
      opening.fileKey = fileKeyOf(head, key);
    }),
    opening,
    0,
  );
}

/** Bytes of what was sealed, of a whole file of `sealed` bytes. */
export function plainBytesOf(sealed: number): number {
  const body = sealed - HEAD_BYTES;
  return body - Math.ceil(body / (PIECE + TAG_BYTES)) * TAG_BYTES;
}

/**
 * What was sealed, from its byte `from` to its end, without what lies before. `read` gives the sealed file from a byte of
 * its own on. Errors: as `unseal`.
 */
export async function* unsealFrom(
  read: (from: number) => Promise<AsyncIterable<Buffer>>,
  key: Buffer,
  from: number,
): AsyncGenerator<Buffer> {
  let head = Buffer.alloc(0);
  for await (const chunk of await read(0)) {
    head = Buffer.concat([head, chunk]);
    if (head.length >= HEAD_BYTES) break;
  }
  if (head.length < HEAD_BYTES) throw unreadable("it ends too early");
  // Before the pieces are asked for: what throws in between would leave them open.
  const opening: Opening = { fileKey: fileKeyOf(head.subarray(0, HEAD_BYTES), key) };
  const first = Math.floor(from / PIECE);
  let skip = from - first * PIECE;
  const bodies = await read(HEAD_BYTES + first * (PIECE + TAG_BYTES));
  for await (const plain of opened(bodies, opening, first)) {
    yield plain.subarray(skip);
    skip = 0;
  }
}

/** The key of the file, once its head has passed. */
interface Opening {
  fileKey: Buffer | null;
}

function fileKeyOf(head: Buffer, key: Buffer): Buffer {
  if (!head.subarray(0, MAGIC.length).equals(MAGIC)) throw unreadable("it is not sealed by Partway");
  return keyOf(key, head.subarray(MAGIC.length));
}

/** `first`: the number of the first piece of `bodies`. */
async function* opened(
  bodies: AsyncIterable<Buffer>,
  opening: Opening,
  first: number,
): AsyncGenerator<Buffer> {
  for await (const { at, piece, isLast } of pieces(bodies, PIECE + TAG_BYTES, first)) {
    const { fileKey } = opening;
    if (fileKey === null || piece.length < TAG_BYTES) throw unreadable("it ends too early");
    // An empty last piece is what an empty stream is; anywhere else somebody has cut.
    if (piece.length === TAG_BYTES && at > 0) throw unreadable("it ends too early");
    const decipher = createDecipheriv(CIPHER, fileKey, nonce(at, isLast));
    decipher.setAuthTag(piece.subarray(-TAG_BYTES));
    const plain = decipher.update(piece.subarray(0, -TAG_BYTES));
    try {
      decipher.final();
    } catch (error) {
      throw unreadable(`piece ${at} does not open: another key, or it was changed or cut off`, error);
    }
    yield plain;
  }
}

function unreadable(why: string, cause?: unknown) {
  return badInput(
    `the archive cannot be opened: ${why}`,
    "Use another copy of the archive, or the key it was made with.",
    cause,
  );
}

function keyOf(key: Buffer, salt: Buffer): Buffer {
  return Buffer.from(hkdfSync("sha256", key, salt, "partway archive 1", 32));
}

/** 11 bytes of number, one of whether it is the last. */
function nonce(at: number, isLast: boolean): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeBigUInt64BE(BigInt(at), 3);
  bytes[11] = isLast ? 1 : 0;
  return bytes;
}

/** The stream without its head, which is shown first. */
async function* afterHead(
  source: AsyncIterable<Buffer>,
  show: (head: Buffer) => void,
): AsyncGenerator<Buffer> {
  let held: Buffer | null = Buffer.alloc(0);
  for await (const chunk of source) {
    if (held === null) {
      yield chunk;
      continue;
    }
    held = Buffer.concat([held, chunk]);
    if (held.length < HEAD_BYTES) continue;
    show(held.subarray(0, HEAD_BYTES));
    if (held.length > HEAD_BYTES) yield held.subarray(HEAD_BYTES);
    held = null;
  }
}

interface Piece {
  at: number;
  piece: Buffer;
  isLast: boolean;
}

/** In pieces of `size`, the last of them with what is left: at least one byte, unless the whole is empty. */
async function* pieces(source: AsyncIterable<Buffer>, size: number, first = 0): AsyncGenerator<Piece> {
  let held: Buffer[] = [];
  let bytes = 0;
  let at = first;
  for await (const chunk of source) {
    held.push(chunk);
    bytes += chunk.length;
    if (bytes <= size) continue;
    let whole = Buffer.concat(held);
    for (; whole.length > size; at++) {
      yield { at, piece: whole.subarray(0, size), isLast: false };
      whole = whole.subarray(size);
    }
    held = [whole];
    bytes = whole.length;
  }
  yield { at, piece: Buffer.concat(held), isLast: true };
}

/** The key an archive is sealed with: 32 bytes from a file or the environment, never kept, never shown. */
import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { badInput, messageOf } from "../errors.js";

/** Where the key is found; neither of them: archives are not sealed. */
export interface KeySource {
  keyFile?: string | undefined;
  keyEnv?: string | undefined;
}

export interface ArchiveKey {
  bytes: Buffer;
  /** Says which key it is, and nothing about it; the manifest has it. */
  id: string;
}

const KEY_BYTES = 32;
const HOW = "Make one: openssl rand -hex 32 > archive.key; keep it apart from the archives.";

/** Null: no key is asked for. Errors: bad-input naming where it was looked for. */
export async function readKey({ keyFile, keyEnv }: KeySource): Promise<ArchiveKey | null> {
  if (keyFile !== undefined) {
    const text = await readFile(keyFile, "utf8").catch((error: unknown) => {
      throw badInput(`the archive key ${keyFile} cannot be read: ${messageOf(error)}`, HOW, error);
    });
    return parseKey(text, keyFile);
  }
  if (keyEnv === undefined) return null;
  const text = process.env[keyEnv];
  if (text === undefined || text === "")
    throw badInput(`the archive key is not in the environment: ${keyEnv} is not set`, HOW);
  return parseKey(text, `in ${keyEnv}`);
}

/** 64 hexadecimal digits, or base64. */
function parseKey(text: string, where: string): ArchiveKey {
  const trimmed = text.trim();
  const isHex = /^[0-9a-fA-F]{64}$/.test(trimmed);
  const bytes = isHex ? Buffer.from(trimmed, "hex") : Buffer.from(trimmed, "base64");
  if (!isHex && (!/^[A-Za-z0-9+/]{43}=?$/.test(trimmed) || bytes.length !== KEY_BYTES))
    throw badInput(`the archive key ${where} is not 32 bytes in hexadecimal or base64`, HOW);
  const id = createHmac("sha256", bytes).update("partway archive key").digest("hex").slice(0, 16);
  return { bytes, id };
}

/** Where archives lie: a folder or a bucket, one contract for both. */
import type { ArchiveSettings } from "../config/schema.js";
import { openFolder } from "./folder.js";
import { whereOf } from "./settings.js";

export interface Place {
  /** For people: the path or s3://bucket/prefix of `name`. */
  shown(name: string): string;
  /** May something be written here? Leaves nothing behind. Errors: PlaceFault. */
  probe(): Promise<void>;
  /**
   * Writes `name` whole or not at all, and never over one that is there. `about`: bytes that are to be expected. Errors:
   * PlaceFault; what `body` throws.
   */
  write(name: string, body: AsyncIterable<Buffer>, about: number, signal: AbortSignal): Promise<void>;
  /**
   * Removes what an interrupted write of `name` has left, unless it is whole. Gives, for people, what of it is or may be
   * there still. Errors: PlaceFault.
   */
  forget(name: string): Promise<string[]>;
  /** From the byte `from` on (default: its first). Errors: NotThere; PlaceFault, also in the middle. */
  read(name: string, from?: number): Promise<AsyncIterable<Buffer>>;
  close(): void;
}

/** The place cannot be used. What it means for the leaf, the caller knows. Holds no secret. */
export class PlaceFault extends Error {
  readonly next: string;

  constructor(what: string, next: string, cause?: unknown) {
    super(what, { cause });
    this.name = "PlaceFault";
    this.next = next;
  }
}

/** There is no such file or object. */
export class NotThere extends PlaceFault {
  constructor(shown: string, cause?: unknown) {
    super(
      `there is no ${shown}`,
      "Look where the archive has gone; partway archive <table> says where it was.",
      cause,
    );
    this.name = "NotThere";
  }
}

/** Another archive, or a copy of this database at work in the same place: neither is written over. */
export function takenAlready(shown: string, cause?: unknown): PlaceFault {
  return new PlaceFault(
    `there is a ${shown} already, and archives are not written over`,
    "The same command again takes another name.",
    cause,
  );
}

/** What is whole, and of no archive that the database knows any more. */
export const leftWhole = (shown: string) =>
  `${shown} is of a run that was interrupted, and stays; the leaf is archived anew under another name, and it may be deleted by hand`;

/** `of`: whose settings they are. The S3 client is loaded only here, when it is asked for. */
export async function openPlace(settings: ArchiveSettings, of: string): Promise<Place> {
  const where = whereOf(settings, of);
  if (where.kind === "folder") return openFolder(where.path);
  const { openBucket } = await import("./bucket.js");
  return openBucket(where);
}

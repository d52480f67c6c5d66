/**
 * Archives in S3-compatible storage, in parts of constant memory. Credentials come from where the AWS tools look for them
 * (environment, profile, role), and are neither kept nor shown. Imported late: the client takes long to load.
 */
import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  S3Client,
  type S3ClientConfig,
  S3ServiceException,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { messageOf } from "../errors.js";
import { numbered } from "../kill-switch.js";
import { MANIFEST_END } from "./manifest.js";
import { leftWhole, NotThere, type Place, PlaceFault, takenAlready } from "./place.js";
import type { Where } from "./settings.js";

const MB = 1024 * 1024;
/** S3: 5 MB at least but for the last, 10,000 at most, all of one size on some storages. */
const PART = 16 * MB;
const MOST_PARTS = 9000;

/** Not every storage lists or aborts uploads, nor may every role: then its lifecycle rule has to do it (README). */
const NOT_THERE = ["NotImplemented", "MethodNotAllowed", "AccessDenied"];

export function openBucket({ bucket, prefix, endpoint, region }: Where & { kind: "s3" }): Place {
  const config = configOf(endpoint, region);
  const client = new S3Client(config);
  // A storage that does not know the condition may refuse the whole request; AWS does know it.
  const condition = config.endpoint === undefined ? { IfNoneMatch: "*" } : {};
  const keyOf = (name: string) => (prefix === "" ? name : `${prefix}/${name}`);
  const shown = (name: string) => `s3://${bucket}/${keyOf(name)}`;
  const at = (name: string) => ({ Bucket: bucket, Key: keyOf(name) });
  const abort = async (of: { Bucket: string; Key: string }, UploadId: string | undefined) => {
    return client.send(new AbortMultipartUploadCommand({ ...of, UploadId })).then(
      () => null,
      (error: unknown) => {
        // Ended by somebody else since it was listed.
        if (isNamed(error, "NoSuchUpload")) return null;
        if (isNamed(error, ...NOT_THERE)) return nameOf(error);
        throw error;
      },
    );
  };
  /** Parts that a killed upload has left are stored, and cost, until somebody aborts it. */
  const forget = async (name: string): Promise<string[]> => {
    const { Key } = at(name);
    const left = (why: string) =>
      `an interrupted upload of ${shown(name)} may have left parts, which cost and are not listed among objects; the storage lets Partway not remove them (${why}): give the bucket a lifecycle rule that aborts incomplete uploads, or these credentials s3:ListBucketMultipartUploads and s3:AbortMultipartUpload`;
    const notes = (await isThere(name)) ? [leftWhole(shown(name))] : [];
    // Smaller than a part, and so never an upload of several.
    if (name.endsWith(MANIFEST_END)) return notes;
    const listed = await client
      .send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: Key }))
      .catch((error: unknown) => {
        if (isNamed(error, ...NOT_THERE)) return nameOf(error);
        throw error;
      });
    if (typeof listed === "string") return notes.length > 0 ? notes : [left(listed)];
    for (const { UploadId } of (listed.Uploads ?? []).filter((one) => one.Key === Key)) {
      const why = await numbered("s3: an interrupted upload is aborted", () => abort(at(name), UploadId));
      if (why !== null) notes.push(left(why));
    }
    return notes;
  };
  /** Not sure: a role that may not list is not told what is missing. */
  const isThere = (name: string) =>
    client.send(new HeadObjectCommand(at(name))).then(
      () => true,
      (error: unknown) => {
        if (isNamed(error, "NotFound", "NoSuchKey") || statusOf(error) === 403) return false;
        throw error;
      },
    );
  const explained = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw faultOf(error, shown(name), bucket);
    }
  };
  return {
    shown,
    // Begun and aborted, an upload needs the rights that an archive needs, and is never seen.
    probe: () =>
      explained("", async () => {
        const trial = at(`partway-probe-${randomBytes(8).toString("hex")}`);
        const { UploadId } = await client.send(new CreateMultipartUploadCommand(trial));
        await abort(trial, UploadId);
      }),
    write: (name, body, about, signal) =>
      explained(name, async () => {
        if (await isThere(name)) throw takenAlready(shown(name));
        const partSize = Math.max(PART, Math.ceil(about / MOST_PARTS / MB) * MB);
        const params = { ...at(name), ...condition, Body: Readable.from(body, { objectMode: false }) };
        const upload = new Upload({ client, params, partSize, queueSize: 2 });
        const stop = () => void upload.abort();
        signal.throwIfAborted();
        signal.addEventListener("abort", stop, { once: true });
        try {
          await numbered("s3: an archive's object is uploaded", () => upload.done());
        } finally {
          signal.removeEventListener("abort", stop);
        }
      }),
    forget: (name) => explained(name, () => forget(name)),
    read: async (name, from = 0) => {
      const range = from === 0 ? {} : { Range: `bytes=${from}-` };
      const { Body } = await explained(name, () =>
        client.send(new GetObjectCommand({ ...at(name), ...range })).catch((error: unknown) => {
          // An object that was cut off: a folder's file gives nothing there, either.
          if (isNamed(error, "InvalidRange")) return { Body: Readable.from([]) };
          throw error;
        }),
      );
      if (!(Body instanceof Readable)) throw new Error("the S3 client gave no stream");
      return readable(Body, (error) => faultOf(error, shown(name), bucket));
    },
    close: () => client.destroy(),
  };
}

async function* readable(body: Readable, fault: (error: unknown) => unknown): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of body) yield Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk);
  } catch (error) {
    throw fault(error);
  }
}

/** Checksums that other storages do not know are left out: what was stored is read back and compared as a whole. */
function configOf(endpoint: string | undefined, region: string | undefined): S3ClientConfig {
  const { env } = process;
  const elsewhere = endpoint ?? env["AWS_ENDPOINT_URL_S3"] ?? env["AWS_ENDPOINT_URL"];
  const isUnsaid = region === undefined && elsewhere !== undefined && env["AWS_REGION"] === undefined;
  return {
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    ...(elsewhere === undefined ? {} : { endpoint: elsewhere, forcePathStyle: true }),
    ...(region === undefined ? {} : { region }),
    ...(isUnsaid ? { region: "us-east-1" } : {}),
  };
}

function isNamed(error: unknown, ...names: string[]): boolean {
  return error instanceof Error && names.includes(error.name);
}

const nameOf = (error: unknown) => (error instanceof Error ? error.name : String(error));

function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

const UNREACHABLE = /^(E[A-Z]+|TimeoutError|NetworkingError)$/;

/** An error of the storage as an operator can act on it; anything else is given back as it came. */
function faultOf(error: unknown, shown: string, bucket: string): unknown {
  if (!(error instanceof Error) || error instanceof PlaceFault) return error;
  const again = "then the same command again.";
  if (isNamed(error, "NoSuchKey", "NotFound")) return new NotThere(shown, error);
  if (isNamed(error, "PreconditionFailed", "ConditionalRequestConflict")) return takenAlready(shown, error);
  if (isNamed(error, "NoSuchBucket"))
    return new PlaceFault(`there is no bucket ${bucket}`, `Create it or correct its name, ${again}`, error);
  if (isNamed(error, "CredentialsProviderError"))
    return new PlaceFault(
      `there are no credentials for ${shown}`,
      `Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, ${again}`,
      error,
    );
  if (
    isNamed(error, "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken")
  )
    return new PlaceFault(
      `the storage refuses ${shown}: ${error.name}`,
      `Give these credentials s3:PutObject, s3:GetObject and s3:AbortMultipartUpload there, ${again}`,
      error,
    );
  const code = "code" in error && typeof error.code === "string" ? error.code : error.name;
  const why = messageOf(error) === "" ? code : messageOf(error);
  if (UNREACHABLE.test(code))
    return new PlaceFault(
      `the storage of ${shown} does not answer: ${why}`,
      `Look at the endpoint and the network, ${again}`,
      error,
    );
  if ("$metadata" in error || /region/i.test(why))
    return new PlaceFault(
      `the storage says to ${shown}: ${error.name}: ${why}`,
      `Mend that, ${again}`,
      error,
    );
  return error;
}

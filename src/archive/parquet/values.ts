/** One value: from the bytes that PostgreSQL sends to what Parquet holds, and from there to COPY's text. Pure. */
import { civil } from "../../plan/calendar.js";
import { isLong, type StoredColumn } from "./columns.js";

export type Value = boolean | number | bigint | Uint8Array | null;

/** Dates and times of PostgreSQL count from 2000, those of Parquet from 1970. */
const EPOCH_DAYS = 10_957;
const DAY = 86_400_000_000n;
const EPOCH_MICROS = BigInt(EPOCH_DAYS) * DAY;

/** What reads a value of that column as PostgreSQL's binary format has it. */
export function fromBinary(column: StoredColumn): (bytes: Buffer) => Exclude<Value, null> {
  switch (column.as) {
    case "boolean":
      return (bytes) => bytes[0] === 1;
    case "int16":
      return (bytes) => bytes.readInt16BE();
    case "int32":
      return (bytes) => bytes.readInt32BE();
    case "int64":
    case "time":
      return (bytes) => bytes.readBigInt64BE();
    case "float":
      return (bytes) => bytes.readFloatBE();
    case "double":
      return (bytes) => bytes.readDoubleBE();
    case "date":
      return (bytes) => bytes.readInt32BE() + EPOCH_DAYS;
    case "timestamp":
    case "timestamptz":
      return (bytes) => bytes.readBigInt64BE() + EPOCH_MICROS;
    case "decimal":
      return (bytes) => unscaled(bytes, column.scale);
    case "uuid":
    case "bytes":
    case "text":
      return (bytes) => bytes;
  }
}

const NEGATIVE = 0x4000;

/** numeric_send: how many groups of four digits, the weight of the first, sign, scale, and the groups. */
function unscaled(bytes: Buffer, scale: number): bigint {
  const groups = bytes.readInt16BE(0);
  const weight = bytes.readInt16BE(2);
  const sign = bytes.readUInt16BE(4);
  if (sign !== 0 && sign !== NEGATIVE) throw new Error(`numeric of sign ${sign} in a decimal`);
  let digits = 0n;
  for (let at = 0; at < groups; at++) digits = digits * 10_000n + BigInt(bytes.readUInt16BE(8 + 2 * at));
  const power = 4 * (weight - groups + 1) + scale;
  const whole = power >= 0 ? digits * 10n ** BigInt(power) : digits / 10n ** BigInt(-power);
  return sign === NEGATIVE ? -whole : whole;
}

/**
 * What writes a value of that column as COPY's text format takes it: a string needs no escaping, bytes do. Errors: a
 * TypeError where the file has something else.
 */
export function toText(column: StoredColumn): (value: Exclude<Value, null>) => string | Uint8Array {
  switch (column.as) {
    case "boolean":
      return (value) => (of("boolean", value) ? "t" : "f");
    case "int16":
    case "int32":
      return (value) => String(of("number", value));
    case "int64":
      return (value) => String(of("bigint", value));
    case "float":
    case "double":
      // The shortest digits that give the same number again; of -0 JavaScript prints no sign.
      return (value) => (Object.is(value, -0) ? "-0" : String(of("number", value)));
    case "date":
      return (value) => dateText(of("number", value), "");
    case "time":
      return (value) => timeText(of("bigint", value));
    case "timestamp":
      return (value) => stampText(of("bigint", value), "");
    case "timestamptz":
      return (value) => stampText(of("bigint", value), "+00");
    case "decimal":
      return isLong(column)
        ? (value) => decimalText(of("bigint", value), column.scale)
        : (value) => decimalText(signed(bytesOf(value)), column.scale);
    case "uuid":
      return (value) => hex(bytesOf(value)).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
    case "bytes":
      return (value) => `\\\\x${hex(bytesOf(value))}`;
    case "text":
      return bytesOf;
  }
}

interface Primitive {
  boolean: boolean;
  number: number;
  bigint: bigint;
}

function of<K extends keyof Primitive>(type: K, value: Value): Primitive[K] {
  if (isOf(type, value)) return value;
  throw new TypeError(`${typeof value} in a column of ${type}`);
}

function isOf<K extends keyof Primitive>(type: K, value: unknown): value is Primitive[K] {
  return typeof value === type;
}

function bytesOf(value: Value): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new TypeError(`${typeof value} in a column of bytes`);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}

/** Two's complement, the highest byte first. */
function signed(bytes: Uint8Array): bigint {
  return BigInt.asIntN(8 * bytes.length, BigInt(`0x${hex(bytes)}`));
}

function decimalText(unscaledValue: bigint, scale: number): string {
  const digits = (unscaledValue < 0n ? -unscaledValue : unscaledValue).toString().padStart(scale + 1, "0");
  const sign = unscaledValue < 0n ? "-" : "";
  if (scale === 0) return `${sign}${digits}`;
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** `rest`: what stands between the day and the era. */
function dateText(days: number, rest: string): string {
  const { year, month, day } = civil(days);
  const two = (part: number) => String(part).padStart(2, "0");
  const shown = String(year > 0 ? year : 1 - year).padStart(4, "0");
  return `${shown}-${two(month)}-${two(day)}${rest}${year > 0 ? "" : " BC"}`;
}

function timeText(micros: bigint): string {
  const whole = Number(micros);
  const part = (unit: number, base: number) =>
    String(Math.floor(whole / unit) % base).padStart(base === 1e6 ? 6 : 2, "0");
  return `${part(3.6e9, 100)}:${part(6e7, 60)}:${part(1e6, 60)}.${part(1, 1e6)}`;
}

function stampText(micros: bigint, zone: string): string {
  const time = ((micros % DAY) + DAY) % DAY;
  return dateText(Number((micros - time) / DAY), ` ${timeText(time)}${zone}`);
}

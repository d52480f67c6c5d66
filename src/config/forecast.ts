/** What an operator says about the forecast: the room there is, and whether the table may be looked at for it. */
import { parseBytes } from "./bytes.js";
import type { RawOptions } from "./request.js";

export interface ForecastSettings {
  /** Free space on the server's disk, bytes; null: not said. */
  freeDiskBytes: number | null;
  /** Read a sample of the table. */
  sample: boolean;
}

/** A full disk has 0 bytes free, which is an answer: everything is refused. */
function parseFree(text: string): number {
  return /^0+$/.test(text.trim()) ? 0 : parseBytes(text, "--free-disk", "bytes", "50GB");
}

/** Errors: bad-input naming the option. */
export function parseForecast({ freeDisk, sample }: RawOptions): ForecastSettings {
  return {
    freeDiskBytes: freeDisk === undefined ? null : parseFree(freeDisk),
    sample: sample ?? true,
  };
}

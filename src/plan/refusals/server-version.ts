/** Servers that lack what the protocol needs. */
import type { Check } from "./check.js";

/** 14 has DETACH CONCURRENTLY and hash_record_extended, on which validation rests. */
const OLDEST = 140_000;

export const serverVersion: Check = ({ table }) =>
  table.serverVersion >= OLDEST
    ? []
    : [
        {
          code: "server-too-old",
          what: `the server is PostgreSQL ${Math.floor(table.serverVersion / 10_000)}`,
          why: "Validation hashes whole rows with hash_record_extended, which PostgreSQL has from version 14 on.",
          remedy: "Upgrade the server to PostgreSQL 14 or later.",
        },
      ];

/** The SQLSTATEs Partway acts on, by name. https://www.postgresql.org/docs/current/errcodes-appendix.html */
export const SQLSTATE = {
  lockNotAvailable: "55P03",
  queryCanceled: "57014",
  uniqueViolation: "23505",
  foreignKeyViolation: "23503",
  notNullViolation: "23502",
  checkViolation: "23514",
  serializationFailure: "40001",
  deadlockDetected: "40P01",
  undefinedTable: "42P01",
  undefinedObject: "42704",
  invalidSchema: "3F000",
  insufficientPrivilege: "42501",
  invalidPassword: "28P01",
  invalidAuthorization: "28000",
  unknownDatabase: "3D000",
  tooManyConnections: "53300",
  diskFull: "53100",
  readOnly: "25006",
  objectInUse: "55006",
  notInRepertoire: "22021",
  untranslatable: "22P05",
} as const;

/** The SQLSTATE of a server error, or null for anything else. */
export function sqlState(error: unknown): string | null {
  if (typeof error !== "object" || error === null || !("code" in error)) return null;
  const { code } = error;
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) ? code : null;
}

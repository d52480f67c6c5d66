/** A table as PostgreSQL's catalog describes it: one plain, JSON-serialisable object. Read by `read.ts`. */

export interface ColumnInfo {
  attnum: number;
  name: string;
  /** `format_type(atttypid, atttypmod)`, read with an empty search_path, so always usable in DDL. */
  type: string;
  /** `schema.name` of the base type (domains resolved), e.g. `pg_catalog.int8`. */
  baseType: string;
  /** pg_type.typtype of the base type: b, c, e, r, m (domains are resolved first). */
  typeKind: string;
  /** pg_type.typcategory of the base type. */
  typeCategory: string;
  /** Qualified, quoted name of the type's binary send function; null when it has none. */
  sendFunction: string | null;
  /** True when values that compare equal are always byte-identical (see DESIGN 3.5). */
  equalIsIdentical: boolean;
  /** True when the type has a default btree operator class. */
  hasBtree: boolean;
  /** True when the type has a default hash operator class with the extended function hash_record_extended needs. */
  hasHash: boolean;
  /** False also for a NOT NULL constraint that is NOT VALID (PostgreSQL 18): the column may hold NULLs. */
  notNull: boolean;
  /** Name of the NOT NULL constraint; present on PostgreSQL 18 and later only. */
  notNullName?: string;
  /** Default expression; for a generated column its generation expression. */
  default: string | null;
  identity: "always" | "by default" | null;
  generated: "stored" | "virtual" | null;
  /** Qualified collation when it differs from the type's default, else null. */
  collation: string | null;
  statistics: number | null;
  /** attoptions, e.g. ["n_distinct=100"]; empty when none. */
  options: string[];
  /** ALTER COLUMN SET STORAGE, when it differs from the type's. */
  storage?: "plain" | "external" | "main" | "extended";
  /** ALTER COLUMN SET COMPRESSION, when set. */
  compression?: "pglz" | "lz4";
  comment: string | null;
}

export interface IndexInfo {
  oid: string;
  name: string;
  method: string;
  unique: boolean;
  primary: boolean;
  valid: boolean;
  nullsNotDistinct: boolean;
  /** Key columns in order; null stands for an expression. */
  columns: (string | null)[];
  include: string[];
  partial: boolean;
  /** True when every key column uses the type's default operator class, ordering and the column's collation. */
  plain: boolean;
  /** What follows `CREATE [UNIQUE] INDEX name ON table` in pg_get_indexdef: ` USING btree (a, b) WHERE ...`. */
  tail: string;
  /** Storage parameters, e.g. ["fillfactor=70"]. */
  options: string[];
  tablespace: string | null;
  clustered: boolean;
  /** Present on the index that ALTER TABLE ... REPLICA IDENTITY USING INDEX names. */
  replicaIdentity?: true;
  /** `definition`: pg_get_constraintdef, e.g. `UNIQUE (a, b) DEFERRABLE INITIALLY DEFERRED`. */
  constraint: {
    name: string;
    kind: "p" | "u" | "x";
    deferrable: boolean;
    definition?: string;
    /** COMMENT ON CONSTRAINT, which is not the comment of its index. */
    comment?: string;
  } | null;
  comment: string | null;
  sizeBytes: number;
}

export interface CheckInfo {
  name: string;
  /** pg_get_constraintdef, with NOT VALID, NO INHERIT and NOT ENFORCED where they apply. */
  definition: string;
  validated: boolean;
  noInherit: boolean;
  comment?: string;
}

export interface SequenceInfo {
  /** Schema and name of the sequence. */
  schema: string;
  name: string;
  column: string;
  kind: "serial" | "identity";
  /** Grants on the sequence (identity only; a serial sequence itself moves over). */
  grants: GrantInfo[];
  increment: string;
  /** Options for `GENERATED ... AS IDENTITY (...)`: `INCREMENT BY 1 MINVALUE 1 MAXVALUE ... START WITH 1 CACHE 1 NO CYCLE`. */
  definition?: string;
  comment?: string;
  /** last_value and is_called as text and boolean; null when the role may not read it. */
  lastValue: string | null;
  isCalled: boolean;
}

export interface GrantInfo {
  /** Role name, or null for PUBLIC. */
  grantee: string | null;
  grantor: string;
  privilege: string;
  grantable: boolean;
  /** Column name for a column grant, else null. */
  column: string | null;
}

/** Something that hangs on the table and that this version may refuse: its kind and a name a person recognises. */
export interface DependentInfo {
  kind:
    | "outgoing-foreign-key"
    | "incoming-foreign-key"
    | "trigger"
    | "rule"
    | "view"
    | "materialized-view"
    | "function"
    | "policy"
    | "publication"
    | "extended-statistics"
    | "inheritance-child"
    | "inheritance-parent"
    | "security-label"
    | "extension"
    | "exclusion-constraint"
    | "other";
  name: string;
  detail: string;
}

/** What the connected role may do, read before anything is made. */
export interface RightsInfo {
  role: string;
  superuser: boolean;
  /** Member of the table's owner (or is it). */
  ownsTable: boolean;
  /** CREATE on the table's schema. */
  createInSchema: boolean;
  /** CREATE on the database (needed to make schema `partway` when it is not there). */
  createInDatabase: boolean;
  /** Does schema `partway` exist, and may the role create in it? */
  partwaySchema: "absent" | "usable" | "foreign";
  /** May the role SELECT the source? */
  selectTable: boolean;
}

export interface TableInfo {
  /** server_version_num, e.g. 150018. */
  serverVersion: number;
  database: string;
  oid: string;
  schema: string;
  name: string;
  /** pg_class.relkind. */
  kind: string;
  /** pg_class.relpersistence: p, u or t. */
  persistence: string;
  /** Table access method when it is not heap. */
  accessMethod?: string;
  owner: string;
  /** "0" when the relation has no storage (view, partitioned table). */
  filenode: string;
  columns: ColumnInfo[];
  indexes: IndexInfo[];
  checks: CheckInfo[];
  sequences: SequenceInfo[];
  /** null when relacl is NULL (only the owner's implicit rights). */
  grants: GrantInfo[] | null;
  columnGrants: GrantInfo[];
  /** Grantees that ALTER DEFAULT PRIVILEGES would give rights on new tables here (role names, null = PUBLIC). */
  defaultGrantees: (string | null)[];
  /** The same for new sequences. */
  defaultSequenceGrantees?: (string | null)[];
  options: string[];
  toastOptions: string[];
  tablespace: string | null;
  replicaIdentity: "d" | "n" | "f" | "i";
  rowSecurity: boolean;
  forceRowSecurity: boolean;
  ofType: string | null;
  comment: string | null;
  dependents: DependentInfo[];
  /** pg_class.reltuples; -1 when never analysed. */
  estimatedRows: number;
  blocks: number;
  heapBytes: number;
  toastBytes: number;
  indexBytes: number;
  /** Every relation and type name in the table's schema: new names must not collide with them. */
  namesInSchema: string[];
  rights: RightsInfo;
}

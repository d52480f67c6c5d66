/** A table as PostgreSQL's catalog describes it: one plain, JSON-serialisable object. Read by `read.ts`. */
import type { GrantFacts } from "./owners.js";

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
  /**
   * ["n_distinct=100", "n_distinct_inherited=-0.5"]: what ALTER COLUMN SET knows. A server may keep values of its own
   * beside them (Debian's 15.20 stamps every column with pg_attver), which are nobody's setting. Empty when none.
   */
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

export interface ForeignKeyInfo {
  name: string;
  /** pg_get_constraintdef without NOT VALID. */
  definition: string;
  validated: boolean;
  /** The referenced table, qualified and quoted. */
  parent: string;
  /** False: only leaves have it, each its own, until it is attached to the root. */
  onRoot: boolean;
  /** Leaves that have it on their own, qualified and quoted. */
  leaves: string[];
  comment: string | null;
}

export interface IncomingKeyInfo {
  name: string;
  /** The referencing table, qualified and quoted, and its relkind. */
  child: string;
  childKind: string;
  /** True for a foreign key from the table to itself. */
  self: boolean;
  definition: string;
  validated: boolean;
  /** The referenced columns, in order. */
  columns: string[];
  /** The referencing columns with their types, as DDL writes them. */
  childColumns: string[];
  comment: string | null;
}

export interface TriggerInfo {
  name: string;
  /** pg_get_triggerdef with `<table>` for the table. */
  definition: string;
  /** pg_trigger.tgenabled. */
  enabled: "O" | "D" | "R" | "A";
  row: boolean;
  before: boolean;
  /** Has a transition table (REFERENCING). */
  transition: boolean;
  comment: string | null;
}

export interface PolicyInfo {
  name: string;
  /** The table it stands on, qualified and quoted. */
  table: string;
  /** False: it stands on another table and reads this one. */
  own: boolean;
  permissive: boolean;
  command: "ALL" | "SELECT" | "INSERT" | "UPDATE" | "DELETE";
  /** Quoted; PUBLIC for everybody. */
  roles: string[];
  using: string | null;
  check: string | null;
  comment: string | null;
}

/** A view or a function with a parsed body: its name as SQL writes it, and its definition. */
export interface ReaderInfo {
  name: string;
  definition: string;
  /** It rests on the table's primary key (GROUP BY id with other columns selected). */
  groupsByKey: boolean;
}

export interface PublicationInfo {
  name: string;
  viaRoot: boolean;
  /** null: all columns. */
  columns: string[] | null;
  where: string | null;
}

export interface StatisticsInfo {
  schema: string;
  name: string;
  /** ` (ndistinct) ON a, b`. */
  tail: string;
  target: number | null;
  comment: string | null;
}

/** What stands on the table or reads it and has to go over to the new one. */
export interface Attached {
  foreignKeys: ForeignKeyInfo[];
  incomingKeys: IncomingKeyInfo[];
  triggers: TriggerInfo[];
  policies: PolicyInfo[];
  /** `options`: reloptions, null for none. */
  views: (ReaderInfo & { options: string[] | null })[];
  functions: ReaderInfo[];
  publications: PublicationInfo[];
  statistics: StatisticsInfo[];
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
  /** BYPASSRLS; a superuser bypasses row security anyway. */
  bypassRowSecurity?: boolean;
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
  /** Left out by plans made before Partway carried such things: then there are none. */
  attached?: Attached;
  /** pg_class.reltuples; -1 when never analysed. */
  estimatedRows: number;
  blocks: number;
  heapBytes: number;
  toastBytes: number;
  indexBytes: number;
  /** Every relation and type name in the table's schema: new names must not collide with them. */
  namesInSchema: string[];
  rights: RightsInfo;
  /** Left out by plans made before: whose objects are altered besides, and what the role lacks for it. */
  grantFacts?: GrantFacts;
}

/** Where to connect: what psql would have understood. Resolved by `resolve.ts`; the password never leaves this object. */
export type SslMode = "disable" | "allow" | "prefer" | "require" | "verify-ca" | "verify-full";

export interface Target {
  host: string;
  /** The address to dial when it was given apart from the host's name (hostaddr); TLS still checks `host`. */
  hostAddress?: string | null;
  port: number;
  database: string;
  user: string;
  /** Kept out of JSON and util.inspect by `secret()`. */
  password: Secret | null;
  sslMode: SslMode;
  sslRootCert: string | null;
  sslCert: string | null;
  sslKey: string | null;
  /** 0: wait without limit. */
  connectTimeoutMs: number;
  /** Server options sent at start, as in PGOPTIONS. */
  options?: string | null;
}

/** A value that prints as `[secret]` wherever it is printed, logged or serialised. */
export class Secret {
  readonly #value: string;
  constructor(value: string) {
    this.#value = value;
  }
  /** The value itself; call only where it goes onto the wire. */
  reveal(): string {
    return this.#value;
  }
  toString(): string {
    return "[secret]";
  }
  toJSON(): string {
    return "[secret]";
  }
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "[secret]";
  }
}

/** `user@host:port/database`, for people; holds no secret. */
export function describeTarget(target: Target): string {
  return `${target.user}@${target.host}:${target.port}/${target.database}`;
}

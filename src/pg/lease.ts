/** The right to write: see DESIGN 3.9. */
import type { Session, TxOptions } from "./session.js";

export interface Lease {
  readonly migration: string;
  readonly epoch: string;
  /**
   * A transaction that only the current orchestrator can commit: it begins by reading the migration's epoch
   * FOR SHARE and compares. A paused zombie that wakes up gets a `fenced` error and writes nothing.
   */
  tx<T>(session: Session, work: () => Promise<T>, options?: TxOptions): Promise<T>;
}

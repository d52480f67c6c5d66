/** An HTTP server on an address, or the words of why not. */
import type { Server } from "node:http";

/** Resolves when `server` listens. Errors: what the system says (EADDRINUSE, EACCES, ENOTFOUND). */
export function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

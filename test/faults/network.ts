/**
 * A network that a test can hurt at an exact moment: it reads what goes by, holds the message that was waited for while
 * the test does its worst, and then lets it go on, or not. Between one such moment and the next everything stands still,
 * so that the next one can be named in time.
 */
import { createServer, type Socket, connect as tcpConnect } from "node:net";

export interface Moment {
  /** Matched against everything sent in the transaction (or, for "at", in the one message). */
  text: RegExp;
  when: "at" | "before its commit" | "after its commit";
  /** The n-th such moment, from 1. */
  nth?: number;
}

/**
 * forward: the held message goes on. cut: the connection is closed both ways. vanish: the client's side is closed and
 * the server hears nothing of it. The same for all connections with cut-all and vanish-all.
 */
export type Fate = "forward" | "cut" | "vanish" | "cut-all" | "vanish-all";

/** What happens at the moment; `port`: the client port that the server knows the connection by. */
export type Act = (port: number) => Promise<Fate>;

export interface Network {
  /** `direct`, through this network. */
  url(direct: string): string;
  /** Lets everything flow again until `moment`, then acts; resolves when the act is over and all stands still again. */
  strike(moment: Moment, act: Act): Promise<void>;
  /** No moment is waited for any more; everything flows. */
  flow(): void;
  /** Nothing gets through, in either direction; connections are taken but not answered. Until `flow`. */
  stall(): void;
  /** New connections lead to the server of this URL. */
  lead(direct: string): void;
  /** The most connections there were at a time. */
  peak(): number;
  /** How many there are. */
  now(): number;
  stop(): Promise<void>;
}

interface Armed extends Moment {
  left: number;
  act: Act;
  over(): void;
  failed(error: unknown): void;
}

interface Pair {
  client: Socket;
  server: Socket;
  said: string;
  fate: Armed | null;
}

export async function startNetwork(direct: string): Promise<Network> {
  let target = new URL(direct);
  const pairs = new Set<Pair>();
  const sockets = new Set<Socket>();
  const arrivals: (() => void)[] = [];
  let armed: Armed | null = null;
  let still = false;
  let peak = 0;

  const hit = (text: string, when: Moment["when"]): Armed | null => {
    if (armed === null || armed.when !== when || !armed.text.test(text)) return null;
    armed.left -= 1;
    if (armed.left > 0) return null;
    const now = armed;
    armed = null;
    return now;
  };
  const stall = () => {
    still = true;
    for (const { client, server } of pairs) for (const socket of [client, server]) socket.pause();
  };
  const flow = () => {
    still = false;
    for (const { client, server } of pairs) for (const socket of [client, server]) socket.resume();
    for (const arrive of arrivals.splice(0)) arrive();
  };
  const meet = (fate: Fate, pair: Pair, forward: () => void) => {
    if (fate === "forward") return forward();
    for (const { client, server } of fate.endsWith("all") ? [...pairs] : [pair]) {
      if (fate.startsWith("vanish"))
        server
          .removeAllListeners("data")
          .on("data", () => undefined)
          .resume();
      else server.destroy();
      client.removeAllListeners("close").destroy();
    }
  };
  /** Holds the message and everything else, acts, and leaves everything still: a worker beside it would finish the phase. */
  const strikeNow = (now: Armed, pair: Pair, forward: () => void) => {
    stall();
    void now.act(pair.server.localPort ?? 0).then((fate) => {
      stall();
      meet(fate, pair, forward);
      now.over();
    }, now.failed);
  };
  const sent = (pair: Pair, bytes: Buffer) => {
    const forward = () => void pair.server.write(bytes);
    const message = bytes.toString("latin1");
    if (/\bBEGIN\b/.test(message)) pair.said = "";
    pair.said += message;
    const commits = /\bCOMMIT\b/.test(message);
    const now = hit(message, "at") ?? (commits ? hit(pair.said, "before its commit") : null);
    if (now === null && commits) pair.fate = hit(pair.said, "after its commit");
    if (commits) pair.said = "";
    if (now === null) forward();
    else strikeNow(now, pair, forward);
  };
  const answered = (pair: Pair, bytes: Buffer) => {
    const forward = () => void pair.client.write(bytes);
    const now = pair.fate;
    pair.fate = null;
    if (now === null) forward();
    else strikeNow(now, pair, forward);
  };
  const listener = createServer({ pauseOnConnect: true }, (client) => {
    const arrive = () => {
      if (client.destroyed) return;
      const server = tcpConnect(Number(target.port || 5432), target.hostname);
      const pair: Pair = { client, server, said: "", fate: null };
      pairs.add(pair);
      sockets.add(server);
      peak = Math.max(peak, pairs.size);
      client.on("close", () => {
        pairs.delete(pair);
        server.destroy();
      });
      server.on("close", () => {
        pairs.delete(pair);
        sockets.delete(server);
        client.destroy();
      });
      // A reset is what such a network leaves behind; "close" follows and does the work.
      server.on("error", () => server.destroy());
      client.on("data", (bytes: Buffer) => sent(pair, bytes));
      server.on("data", (bytes: Buffer) => answered(pair, bytes));
      server.setNoDelay(true);
      client.setNoDelay(true);
      if (still) server.pause();
      else client.resume();
    };
    sockets.add(client);
    client.on("close", () => sockets.delete(client));
    client.on("error", () => client.destroy());
    if (still) arrivals.push(arrive);
    else arrive();
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const address = listener.address();
  if (address === null || typeof address === "string") throw new Error("the network has no port");
  return {
    url: (from) => {
      const through = new URL(from);
      through.hostname = "127.0.0.1";
      through.port = String(address.port);
      return through.href;
    },
    strike: (moment, act) =>
      new Promise((over, failed) => {
        armed = { ...moment, left: moment.nth ?? 1, act, over, failed };
        flow();
      }),
    flow: () => {
      armed = null;
      flow();
    },
    stall,
    lead: (to) => {
      target = new URL(to);
    },
    peak: () => peak,
    now: () => pairs.size,
    stop: async () => {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/**
 * SIGKILL at an exact moment: between Partway and the server stands a proxy that reads what goes by. It can kill the
 * process when a statement is about to be sent, when the COMMIT of a transaction is about to be sent (so the server
 * never sees it), or when the server has carried that COMMIT out and its answer is on the way (so nobody hears of it).
 */
import { createServer, type Socket, connect as tcpConnect } from "node:net";

export interface KillPoint {
  /** Matched against everything sent in the transaction (or, for "at", in the one message). */
  text: RegExp;
  when: "at" | "before its commit" | "after its commit";
  /** Kill at the n-th such moment, from 1. */
  nth?: number;
}

/** A kill point with the name a test shows. */
export type NamedPoint = readonly [what: string, point: KillPoint];

/** The server never sees the COMMIT of the transaction that says `text`. */
export function uncommitted(what: string, text: RegExp, nth = 1): NamedPoint {
  return [what, { text, when: "before its commit", nth }];
}

/** It is committed, and the process never learns of it. */
export function committed(what: string, text: RegExp, nth = 1): NamedPoint {
  return [what, { text, when: "after its commit", nth }];
}

/** The statement is on its way; the server carries it out for nobody. */
export function sent(what: string, text: RegExp): NamedPoint {
  return [what, { text, when: "at" }];
}

export interface KillProxy {
  /** `direct`, through the proxy. */
  url(direct: string): string;
  /** From now on the point counts; `kill` is called once, synchronously, at the moment. Resolves when that happened. */
  arm(point: KillPoint, kill: () => void): { happened(): boolean };
  disarm(): void;
  /** Calls `listener` with every message that goes to the server from now on. */
  onSent(listener: (text: string) => void): void;
  stop(): Promise<void>;
}

interface Armed {
  point: KillPoint;
  left: number;
  happened: boolean;
  kill(): void;
}

/** What one connection has sent since its transaction began, and whether the answer to its COMMIT is to be swallowed. */
interface Conversation {
  said: string;
  fate: Armed | null;
}

export async function startKillProxy(direct: string): Promise<KillProxy> {
  const target = new URL(direct);
  const sockets = new Set<Socket>();
  let armed: Armed | null = null;
  const strike = (hit: Armed) => {
    hit.happened = true;
    armed = null;
    hit.kill();
  };
  const hits = (text: string, when: KillPoint["when"]): Armed | null => {
    if (armed === null || armed.point.when !== when || !armed.point.text.test(text)) return null;
    armed.left -= 1;
    return armed.left > 0 ? null : armed;
  };
  let hear: (text: string) => void = () => undefined;
  /** True when the message may go on to the server. */
  const sending = (talk: Conversation, message: string): boolean => {
    const at = hits(message, "at");
    if (at !== null) strike(at);
    if (/\bBEGIN\b/.test(message)) talk.said = "";
    talk.said += message;
    if (!/\bCOMMIT\b/.test(message)) return true;
    const before = hits(talk.said, "before its commit");
    if (before !== null) strike(before);
    else talk.fate = hits(talk.said, "after its commit");
    talk.said = "";
    return before === null;
  };
  const listener = createServer((client) => {
    const server = tcpConnect(Number(target.port || 5432), target.hostname);
    const talk: Conversation = { said: "", fate: null };
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("close", () => sockets.delete(socket));
      // A reset is what a killed process leaves; "close" follows and does the work.
      socket.on("error", () => socket.destroy());
    }
    client.on("data", (bytes) => {
      const text = bytes.toString("latin1");
      hear(text);
      if (sending(talk, text)) server.write(bytes);
    });
    server.on("data", (bytes) => {
      if (talk.fate !== null) {
        if (!talk.fate.happened) strike(talk.fate);
      } else client.write(bytes);
    });
    client.on("close", () => server.destroy());
    server.on("close", () => client.destroy());
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const address = listener.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  return {
    url: (from) => {
      const through = new URL(from);
      through.hostname = "127.0.0.1";
      through.port = String(address.port);
      return through.href;
    },
    arm: (point, kill) => {
      const now: Armed = { point, left: point.nth ?? 1, happened: false, kill };
      armed = now;
      return { happened: () => now.happened };
    },
    disarm: () => {
      armed = null;
    },
    onSent: (told) => {
      hear = told;
    },
    stop: async () => {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

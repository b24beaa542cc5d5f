/** How clients receive. */
export type FanOutTransport = "websocket" | "sse";

/** Something to say on a connection, and what the answer to it contains. */
export interface Exchange {
  readonly send: Buffer;
  /** Latin-1 text that is looked for in what comes back; empty: nothing is waited for. */
  readonly until: string;
}

/** How one connection publishes, one event after the other. */
export interface PublishProtocol {
  readonly port: number;
  /** Said once, when the connection is open. */
  readonly greeting: readonly Exchange[];
  /** One publish. It has {@link SEQUENCE_PLACEHOLDER} once, which each publish replaces by its number, as `"seq":"0000000001"`. */
  readonly request: Buffer;
  /** Text that each answer has once; empty: there are no answers. */
  readonly answer: string;
}

/** Ten digits, so that no length changes. */
export const SEQUENCE_PLACEHOLDER = "##########";

/**
 * A server that brings one event to all who are connected: ours, the floor, or another product.
 * The load generator knows it by nothing else, so all are measured in the same way.
 */
export interface FanOutServer {
  /** As the tables have it: `PaperDB Realtime`, `floor (C)`, `Socket.IO 4.8`. */
  readonly name: string;
  readonly transport: FanOutTransport;
  /** The processes whose CPU time and memory are counted. */
  readonly pids: readonly number[];
  readonly port: number;
  /** What each subscriber says, in turn; after the last answer it is live. */
  readonly greeting: readonly Exchange[];
  readonly publish: PublishProtocol;
  /** Its streams are in HTTP chunks that may end within an event; they are taken out before events are looked for. */
  readonly chunked?: boolean;
  /** Bytes that a subscriber sends when it gets those (pings of the server); undefined where it needs none. */
  readonly pong?: { readonly ping: Buffer; readonly send: Buffer };
  /** Leaves in memory what is held; undefined where the runtime cannot be asked for that. */
  readonly collectGarbage?: () => Promise<void>;
  close(): Promise<void>;
}

/** Where server processes run. */
export interface FanOutPlace {
  /** The core that they are bound to, where the system can do that; undefined: any. */
  readonly core: number | undefined;
}

/** One kind of server. `start` resolves once it accepts connections. */
export interface FanOutPeer {
  /** For `--peers`: `ours`, `floor`, `ws`, `socket.io`, `bun`, `nats`, `centrifugo`, `mercure`. */
  readonly name: string;
  readonly transports: readonly FanOutTransport[];
  /** Why it cannot run here (`CENTRIFUGO_BIN` is not set, no compiler); undefined when it can. Installs what it needs. */
  prepare(progress: (message: string) => void): Promise<string | undefined>;
  start(transport: FanOutTransport, place: FanOutPlace): Promise<FanOutServer>;
}

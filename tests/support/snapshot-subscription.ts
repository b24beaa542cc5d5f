import type { EventMessage, ServerMessage } from "@paperdb/protocol";
import { StrictState } from "./snapshots.ts";
import { until } from "./until.ts";
import type { WebSocketClient } from "./websocket-client.ts";

/** What came, in its order: an `early event` came within a snapshot and has no cursor. */
type Step =
  "snapshot" | "early event" | "event" | `ready ${"new" | "resumed"}` | `reset ${string}` | `error ${string}`;

/** One subscription of a `paperdb.v1` client, as a client that is strict keeps it. */
export class SnapshotSubscription {
  readonly #client: WebSocketClient;
  readonly #id: string;
  readonly #steps: Step[] = [];
  #state: StrictState;
  readonly #makeState: () => StrictState;
  #channel: string | undefined;
  #cursor = "";
  #isLive = false;
  /** Of the texts that the client has received. */
  #read: number;

  /** Asks for the documents of a collection. @param more - other members of the message. */
  constructor(
    client: WebSocketClient,
    id: string,
    collection: string,
    more: object = {},
    makeState: () => StrictState = () => new StrictState(),
  ) {
    this.#client = client;
    this.#id = id;
    this.#makeState = makeState;
    this.#state = makeState();
    this.#read = client.texts.length;
    client.send({ type: "subscribe", id, collection, snapshot: true, ...more });
  }

  get steps(): readonly Step[] {
    this.#advance();
    return this.#steps;
  }

  /** The same step again and again counted once. */
  get phases(): readonly Step[] {
    return this.steps.filter((step, index, all) => step !== all[index - 1]);
  }

  /** What the client holds, by id. */
  get documents(): StrictState["documents"] {
    this.#advance();
    return this.#state.documents;
  }

  get ids(): readonly string[] {
    return [...this.documents.keys()].toSorted();
  }

  /** What the client holds, itself. */
  get state(): StrictState {
    this.#advance();
    return this.#state;
  }

  /** Whether the last that it was told is that it is live. */
  get isLive(): boolean {
    this.#advance();
    return this.#isLive;
  }

  get channel(): string | undefined {
    this.#advance();
    return this.#channel;
  }

  /** Of the last `ready` or event. */
  get cursor(): string {
    this.#advance();
    return this.#cursor;
  }

  /** Waits for so many messages `ready`. */
  async ready(count = 1): Promise<this> {
    await this.waitFor(
      () => this.steps.filter((step) => step.startsWith("ready")).length >= count,
      `${String(count)} ready`,
    );
    return this;
  }

  async waitFor(condition: () => boolean, what: string): Promise<void> {
    await until(condition, {
      describe: () =>
        `${what}, got ${this.phases.join(", ")}; closed: ${JSON.stringify(this.#client.closed)}`,
    });
  }

  #advance(): void {
    const { texts } = this.#client;
    for (; this.#read < texts.length; this.#read += 1) {
      this.#take(JSON.parse(texts[this.#read] ?? "") as ServerMessage);
    }
  }

  #take(message: ServerMessage): void {
    if (message.type === "event") {
      if (message.channel === this.#channel) this.#apply(message);
      return;
    }
    if (!("id" in message) || message.id !== this.#id) return;
    if (message.type === "reset") {
      this.#state = this.#makeState();
      this.#isLive = false;
      this.#channel = undefined;
      this.#steps.push(`reset ${message.reason}`);
    } else if (message.type === "error") {
      this.#channel = undefined;
      this.#steps.push(`error ${message.code}`);
    } else if (message.type === "ready") {
      this.#isLive = true;
      this.#channel = message.channel;
      this.#cursor = message.cursor;
      this.#steps.push(`ready ${message.resumed ? "resumed" : "new"}`);
    } else {
      this.#channel = message.channel;
      this.#addDocuments(message.documents, message.documentIds);
    }
  }

  #addDocuments(documents: readonly unknown[], ids: readonly string[]): void {
    if (this.#isLive) throw new Error("Documents came after ready.");
    if (documents.length !== ids.length) throw new Error("There are more documents than ids, or less.");
    this.#state.add(
      documents.map((document, index) => ({
        documentId: ids[index] ?? "",
        document: JSON.stringify(document),
      })),
    );
    this.#steps.push("snapshot");
  }

  #apply({ event, cursor }: EventMessage): void {
    if (!("collection" in event)) throw new Error("It is no change.");
    if ((cursor !== undefined) !== this.#isLive) throw new Error("Only live events have a cursor.");
    if (cursor !== undefined) this.#cursor = cursor;
    const { type, documentId, data } = event;
    this.#state.apply({
      channel: { tenant: "", collection: event.collection },
      position: "",
      committedAtMs: undefined,
      body: { type, documentId, document: JSON.stringify(data) },
    });
    this.#steps.push(this.#isLive ? "event" : "early event");
  }
}

/**
 * The client reads nothing any more once a snapshot has begun to arrive.
 *
 * @param id - of its subscription.
 * @returns what makes it read on.
 */
export function pauseInSnapshot(client: WebSocketClient, id = "1"): () => void {
  const head = `{"type":"snapshot","id":"${id}"`;
  const pause = (data: Buffer): void => {
    if (data.subarray(0, head.length).equals(Buffer.from(head))) client.socket.pause();
  };
  client.socket.on("message", pause);
  return () => {
    client.socket.off("message", pause);
    client.socket.resume();
  };
}

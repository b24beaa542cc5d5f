import { createClient, type ChangeEvent, type Client } from "paperdb";
import type { ConfigInput } from "../../packages/server/src/config/schema.ts";
import { heldOf, noteOf, type NoteWatcher } from "./note-watcher.ts";
import { createNotesStore, type NotesKind, type NotesStore } from "./notes-store.ts";
import { createDatabase, type TestDatabase } from "./postgres.ts";
import { startTestServer, type TestServer, type TestTenant } from "./realtime-server.ts";
import { mintToken } from "./realtime-token.ts";
import { SdkRecorder } from "./sdk-recorder.ts";
import { SnapshotSubscription } from "./snapshot-subscription.ts";
import { PatientState } from "./snapshots.ts";
import type { SseClient } from "./sse-client.ts";
import { sseState } from "./sse-state.ts";
import { until } from "./until.ts";
import { WebSocketClient } from "./websocket-client.ts";

/** How a {@link NoteWatcher} subscribes. */
export interface WatchOptions {
  readonly where?: Readonly<Record<string, unknown>>;
  readonly cursor?: string;
  /** By SSE and WebSocket. */
  readonly snapshot?: boolean;
}

/** A server with notes `(id, tenant_id, owner, title, secret)`, of which `secret` is hidden. */
export class NotesServer {
  readonly server: TestServer;
  /** Of tenants and keys, and of notes that are in PostgreSQL. */
  readonly database: TestDatabase;
  readonly store: NotesStore;
  readonly #sockets: WebSocketClient[] = [];
  readonly #sdks: Client[] = [];

  private constructor(server: TestServer, database: TestDatabase, store: NotesStore) {
    this.server = server;
    this.database = database;
    this.store = store;
  }

  /** Starts it, and waits until notes can be subscribed to. */
  static async start(kind: NotesKind, settings: ConfigInput = {}): Promise<NotesServer> {
    const database = await createDatabase();
    const store = await createNotesStore(kind, database);
    const server = await startTestServer({ sources: store.sources, ...settings }, database);
    await until(async () => (await fetch(`${server.url}/readyz`)).status === 200);
    return new NotesServer(server, database, store);
  }

  /** A token of a tenant's for notes. */
  mint(tenant: Pick<TestTenant, "secretKey">, filter?: object): Promise<string> {
    const filters = filter === undefined ? {} : { filters: { notes: filter } };
    const body = { collections: ["notes"], topics: [">"], ...filters };
    return mintToken(this.server.url, tenant.secretKey, body);
  }

  /** Subscribes by SSE, with a key or a token. */
  async sse(
    credential: string,
    { where, cursor, snapshot }: WatchOptions = {},
  ): Promise<NoteWatcher & { client: SseClient }> {
    const query = {
      collection: "notes",
      ...(where === undefined ? {} : { where: JSON.stringify(where) }),
      ...(cursor === undefined ? {} : { cursor }),
      ...(snapshot === undefined ? {} : { snapshot: String(snapshot) }),
    };
    const headers = { authorization: `Bearer ${credential}` };
    const client = await this.server.subscribe(query, undefined, headers);
    if (client.status !== 200) throw new Error(client.body);
    await client.waitForEvent("ready");
    return {
      name: "SSE",
      client,
      seen: () => client.changes.map(({ type, document }) => noteOf(type, document)),
      held: () => heldOf(sseState(client, () => new PatientState())),
      wire: () => JSON.stringify(client.events),
    };
  }

  /** Opens a WebSocket of `paperdb.v1`. */
  async socket(token: string): Promise<WebSocketClient> {
    const client = await WebSocketClient.open(this.server.url, { token });
    this.#sockets.push(client);
    return client;
  }

  /** Subscribes by WebSocket. */
  async webSocket(
    token: string,
    { where, snapshot = false }: WatchOptions = {},
  ): Promise<NoteWatcher & { client: WebSocketClient }> {
    const client = await this.socket(token);
    const more = { snapshot, ...(where === undefined ? {} : { where }) };
    const subscription = new SnapshotSubscription(client, "1", "notes", more, () => new PatientState());
    await subscription.ready();
    return {
      name: "WebSocket",
      client,
      held: () => heldOf(subscription),
      seen: () =>
        client.events().map((event) => {
          const { type, data } = event as { type: string; data: unknown };
          return noteOf(type, data);
        }),
      wire: () => client.texts.join("\n"),
    };
  }

  /** Connects without a subprotocol. */
  async raw(token: string): Promise<NoteWatcher & { client: WebSocketClient }> {
    const client = await WebSocketClient.open(this.server.url, { token, protocol: undefined });
    this.#sockets.push(client);
    return {
      name: "raw WebSocket",
      client,
      seen: () =>
        client.texts.map((text) => {
          const { type, data } = JSON.parse(text) as { type: string; data: unknown };
          return noteOf(type, data);
        }),
      wire: () => client.texts.join("\n"),
    };
  }

  /** Subscribes by the SDK, which asks for tokens as it needs them. */
  async sdk(
    getToken: () => Promise<string>,
    { where }: WatchOptions = {},
  ): Promise<NoteWatcher & { recorder: SdkRecorder<ChangeEvent> }> {
    const client = createClient({
      getToken,
      baseUrl: this.server.url,
      backoff: { minMs: 20, maxMs: 200 },
    });
    this.#sdks.push(client);
    const recorder = new SdkRecorder<ChangeEvent>();
    client.realtime.subscribe("notes", recorder.listener, { ...recorder.options, where });
    await until(() => recorder.isLive, { describe: () => JSON.stringify(recorder) });
    return {
      name: "SDK",
      recorder,
      seen: () => recorder.events.map(({ type, data }) => noteOf(type, data)),
      wire: () => JSON.stringify(recorder.events),
    };
  }

  /** Runs statements one after another, each in a transaction of its own. */
  async run(...statements: readonly string[]): Promise<void> {
    for (const statement of statements) await this.database.query(statement);
  }

  /** Ends all clients. */
  closeClients(): void {
    for (const socket of this.#sockets.splice(0)) socket.close();
    for (const sdk of this.#sdks.splice(0)) sdk.close();
  }

  async close(): Promise<void> {
    this.closeClients();
    await this.server.close();
    await this.store.drop();
    await this.database.drop();
  }
}

import { z } from "zod";
import { compressionSchema } from "./compression-schema.ts";
import { filterLimitsSchema } from "./filter-schema.ts";
import { mongoSettingsSchema } from "./mongodb-schema.ts";
import { bytes, count, MAX_COUNT, MEBIBYTE, milliseconds } from "./ranges.ts";
import { mongoUrl, postgresUrl, sourceSchema } from "./source-schema.ts";

const planSchema = (realtime: boolean, maxConnections: number) =>
  z
    .strictObject({
      realtime: z
        .boolean()
        .default(realtime)
        .describe("Whether its tenants may subscribe, publish and mint tokens."),
      maxConnections: count(maxConnections, 0).describe("Connections of one tenant at a time, per server."),
      publishesPerSecond: z
        .int()
        .min(1)
        .max(MAX_COUNT)
        .optional()
        .describe("Events that one tenant may publish each second. Default: no limit."),
      maxTokenSeconds: count(86_400).describe("The longest life of a realtime token, in seconds."),
    })
    .prefault({});

/** Every setting, with its range, default and description; `env` names the environment variable that sets it. */
export const configSchema = z.strictObject({
  port: z
    .int()
    .min(0)
    .max(65_535)
    .default(4000)
    .meta({ env: "PORT", description: "The port to serve HTTP on; 0: any free one." }),
  host: z
    .string()
    .min(1)
    .default("127.0.0.1")
    .meta({ env: "HOST", description: "The address to serve HTTP on; `0.0.0.0`: every IPv4 address." }),
  databaseUrl: postgresUrl.optional().meta({
    env: "DATABASE_URL",
    description:
      "The PostgreSQL database whose changes are delivered: a source of its own unless `sources` has one of kind `postgres`, else the URL of " +
      "those without a `url`. With neither URL and without `sources`: the embedded database.",
  }),
  mongodbUrl: mongoUrl.optional().meta({
    env: "MONGODB_URL",
    description:
      "The MongoDB database, a replica set's, whose changes are delivered: a source of its own unless `sources` has one of kind `mongodb`, else " +
      "the URL of those without a `url`. The path names the database: `mongodb://host:27017/app`.",
  }),
  dataDir: z.string().min(1).default("./data").meta({
    env: "PAPERDB_DATA_DIR",
    description: "The folder of the embedded database and of the secrets that the server makes itself.",
  }),
  adminKey: z
    .string()
    .regex(/^[\x21-\x7e]+$/, { error: "must be printable ASCII characters without spaces" })
    .optional()
    .meta({
      env: "PAPERDB_ADMIN_KEY",
      description:
        "The key of the admin API, best 32 random characters or more. Default: made and kept in `dataDir`.",
    }),
  tokenSecret: z
    .string()
    .refine((text) => text.split(",").every((secret) => secret.trim() !== ""), {
      error: "must be a secret, or several separated by commas, none of them empty",
    })
    .optional()
    .meta({
      env: "PAPERDB_TOKEN_SECRET",
      description:
        "The secret that realtime tokens are signed with, the same on every server, best 32 random characters or more. Several are separated " +
        "by commas: the first one signs, all are accepted. Default: made and kept in `dataDir`.",
    }),
  pgPassword: z.string().min(1).optional().meta({
    env: "PAPERDB_PG_PASSWORD",
    description:
      "The password of the embedded database's user `paperdb`. Default: made and kept in `dataDir`.",
  }),
  pgPort: z
    .int()
    .min(1)
    .max(65_535)
    .default(5433)
    .meta({ env: "PAPERDB_PG_PORT", description: "The port of the embedded database, on 127.0.0.1." }),
  logLevel: z
    .enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"])
    .default("info")
    .describe("The least severe log lines to write."),
  sources: z
    .array(sourceSchema)
    .min(1)
    .max(16)
    .optional()
    .describe(
      "The databases that changes come from. Tenants and keys live in the first of kind `postgres`; where there is none, in the embedded database.",
    ),
  plans: z
    .strictObject({
      free: planSchema(false, 100),
      pro: planSchema(true, 10_000),
      team: planSchema(true, 100_000),
    })
    .prefault({})
    .describe("What each plan allows."),
  cors: z
    .strictObject({
      origins: z
        .array(z.string().min(1))
        .default(["*"])
        .describe('Origins whose pages may call the API, such as `https://app.example.com`; `"*"`: all.'),
    })
    .prefault({})
    .describe("Cross-origin requests."),
  history: z
    .strictObject({
      maxEventsPerChannel: count(50_000).describe("Events kept for each channel."),
      maxBytesPerChannel: bytes(64 * MEBIBYTE).describe("Bytes kept for each channel."),
      maxBytesTotal: bytes(256 * MEBIBYTE).describe("Bytes kept for all channels together."),
      maxAgeMs: milliseconds(300_000, 1000).describe("How long an event is kept, in ms."),
      maxSharedBytes: bytes(16 * MEBIBYTE).describe(
        "Encoded events kept until all subscriptions near them have them, and parsed ones for filters of about the same weight; what is beyond it is made again.",
      ),
      lingerMs: milliseconds(120_000, 0).describe(
        "How long a channel is listened to and kept after its last subscriber, in ms.",
      ),
      maxLingeringChannels: count(500, 0).describe(
        "Channels kept without subscribers; longest idle go first.",
      ),
    })
    .prefault({})
    .describe("The recent events that a client can resume from, in memory."),
  connections: z
    .strictObject({
      maxTotal: count(200_000).describe("Connections of all tenants at a time."),
      heartbeatIntervalMs: milliseconds(15_000, 100).describe(
        "Between two heartbeats on a quiet connection, in ms.",
      ),
      maxBufferedBytes: bytes(8 * MEBIBYTE).describe("Unsent bytes at which a slow connection is closed."),
      maxSliceBytes: bytes(65_536).describe(
        "Bytes written to one connection at a time, unless one event is larger.",
      ),
      writeTimeoutMs: milliseconds(30_000, 100).describe(
        "A connection that takes nothing for so long is closed, in ms.",
      ),
      drainTimeoutMs: milliseconds(5_000, 0).describe(
        "How long a stopping server waits for connections, in ms.",
      ),
    })
    .prefault({})
    .describe("Connections of clients."),
  websocket: z
    .strictObject({
      handshakeTimeoutMs: milliseconds(20_000, 100).describe(
        "How long a client waits at most until its WebSocket is open, in ms.",
      ),
      maxMessageBytes: z
        .int()
        .min(1024)
        .max(16 * MEBIBYTE)
        .default(65_536)
        .describe("The largest message of a client, in bytes."),
      maxMessagesPerSecond: count(100).describe(
        "Messages of one client that are handled each second; the next ones wait, unread.",
      ),
      maxSubscriptions: count(100).describe("Subscriptions of one connection at a time."),
      maxUnreadAnswerBytes: bytes(262_144).describe(
        "Bytes of answers that a client has not read at which its connection is closed; at least 2 KiB for each of `websocket.maxSubscriptions`.",
      ),
      closeTimeoutMs: milliseconds(5_000, 100).describe(
        "How long a client may take to answer a close frame before its connection is cut, in ms.",
      ),
      peerTimeoutMs: milliseconds(45_000, 100).describe(
        "A client of which nothing is heard for so long is cut, in ms; at least two and a half `connections.heartbeatIntervalMs`.",
      ),
    })
    .prefault({})
    .describe("WebSockets, besides what `connections` says."),
  compression: compressionSchema,
  publish: z
    .strictObject({
      maxBodyBytes: bytes(MEBIBYTE).describe("The largest body of a publish request, in bytes."),
      idempotencyWindowMs: milliseconds(600_000, 1000).describe(
        "How long an `Idempotency-Key` is remembered, in ms.",
      ),
      maxIdempotencyKeys: count(10_000).describe(
        "Idempotency keys remembered for all tenants; the oldest go first.",
      ),
    })
    .prefault({})
    .describe("The event bus."),
  filters: filterLimitsSchema,
  tokens: z
    .strictObject({
      maxGrants: count(100).describe("Collections and topics that one token may name."),
      maxLength: z
        .int()
        .min(512)
        .max(14_000)
        .default(8192)
        .describe("Characters of a token at most: it has to fit into a URL."),
      maxCached: count(10_000).describe(
        "Checked tokens kept in memory; those not used for longest go first.",
      ),
    })
    .prefault({})
    .describe("Realtime tokens."),
  keyCacheMs: milliseconds(30_000, 0).describe(
    "How long a checked key is trusted without asking the database again, in ms. Revocations arrive at once nevertheless.",
  ),
  snapshotTimeoutMs: milliseconds(60_000, 100).describe(
    "How long a snapshot may take to be read and sent, in ms. A client that is slower is disconnected, so that the database can clean up.",
  ),
  snapshots: z
    .strictObject({
      batchRows: count(500).describe("Documents read and sent at a time."),
      batchBytes: bytes(262_144).describe(
        "Bytes of documents read and sent at a time, unless one is larger.",
      ),
      maxConcurrent: count(4).describe(
        "Snapshots read at a time from each source, of one tenant half of them. Each holds a connection.",
      ),
      maxBufferedBytes: bytes(64 * MEBIBYTE).describe(
        "Bytes read for clients that have not taken them yet, of one tenant half of them; no further snapshot is begun that could exceed it.",
      ),
      maxWaiting: count(10_000).describe(
        "Snapshots of one tenant that wait for their turn; a client that asks for another one is refused.",
      ),
      stallMs: milliseconds(5_000, 100).describe(
        "How long others wait for a client that takes nothing of its snapshot, in ms. It gets another one once it reads again.",
      ),
    })
    .prefault({})
    .describe("Snapshots: the documents that a client asks for before their changes."),
  maxCachedKeys: count(10_000).describe("Checked keys kept in memory; those not used for longest go first."),
  maxKeyLookups: count(1_000).describe(
    "Keys that the database is asked for at a time; clients with further ones are told to try again.",
  ),
  notify: z
    .strictObject({
      lockTimeoutMs: milliseconds(150).describe(
        "The longest wait for a table's lock when installing triggers, in ms.",
      ),
      installTimeoutMs: milliseconds(10_000).describe("How long installing triggers is retried, in ms."),
      catalogPollIntervalMs: milliseconds(500, 50).describe(
        "Between two looks for new and changed tables, in ms.",
      ),
      maxNotifyBytesPerTransaction: bytes(64 * MEBIBYTE).describe(
        "A transaction whose changes take more resets its subscribers instead.",
      ),
      maxDocumentBytes: bytes(16 * MEBIBYTE).describe(
        "A larger document is not delivered; its channel is reset, in bytes of JSON.",
      ),
      maxListenedChannels: count(100_000).describe("Channels listened to at a time."),
      maxPendingBytes: bytes(128 * MEBIBYTE).describe(
        "Changes that wait in the server for a large one before them.",
      ),
      outboxRetentionMs: milliseconds(300_000, 1000).describe(
        "How long rows too large for a notification stay in `paperdb.outbox`, in ms.",
      ),
    })
    .prefault({})
    .describe("Sources of mode `notify`."),
  wal: z
    .strictObject({
      allowUnboundedSlot: z
        .boolean()
        .default(false)
        .describe(
          "Whether to use a database whose slots may fill its disk while the server is away (`max_slot_wal_keep_size = -1`).",
        ),
      maxSlotLagBytes: bytes(512 * MEBIBYTE).describe(
        "A slot that is further behind is told of, in `/readyz`, by `doctor` and in the log.",
      ),
      slotTimeoutMs: milliseconds(10_000, 100).describe(
        "How long the first attempt to make the slot waits for open transactions, in ms; each further one twice as long.",
      ),
      lockTimeoutMs: milliseconds(150).describe(
        "The longest wait for a table's lock when publishing it, in ms.",
      ),
      enrollTimeoutMs: milliseconds(10_000).describe("How long publishing a table is retried, in ms."),
      catalogPollIntervalMs: milliseconds(500, 50).describe(
        "Between two looks for new and changed tables, in ms.",
      ),
      maxDocumentBytes: bytes(16 * MEBIBYTE).describe(
        "A larger document is not delivered; its channel is reset, in bytes of JSON.",
      ),
      maxHistoryBytes: z
        .int()
        .min(1)
        .optional()
        .describe(
          "Bytes kept in memory for clients that come back after a restart, of all channels, watched or not; `history.maxBytesTotal` unless set.",
        ),
      maxHistoryLogBytes: bytes(128 * MEBIBYTE).describe(
        "How much of its log the database keeps for them, `history.maxAgeMs` long: a quarter of `max_slot_wal_keep_size` and half of `maxSlotLagBytes` at most.",
      ),
      maxWatchedChannels: count(1_000_000).describe("Channels watched at a time."),
    })
    .prefault({})
    .describe("Sources of mode `wal`. How long events are kept is in `history`."),
  mongodb: mongoSettingsSchema,
});

/** The configuration as written: everything is optional. */
export type ConfigInput = z.input<typeof configSchema>;

/** The configuration as written, complete with defaults. */
export type ParsedConfig = z.output<typeof configSchema>;

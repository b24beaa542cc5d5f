import { z } from "zod";
import { mongoUrl, postgresUrl, sourceSchema } from "./source-schema.ts";

const MEBIBYTE = 1024 * 1024;
const DAY_MS = 86_400_000;
const MAX_COUNT = 100_000_000;
const MAX_BYTES = 64 * 1024 * MEBIBYTE;

const count = (fallback: number, minimum = 1): z.ZodDefault<z.ZodInt> =>
  z.int().min(minimum).max(MAX_COUNT).default(fallback);
const bytes = (fallback: number, minimum = 1024): z.ZodDefault<z.ZodInt> =>
  z.int().min(minimum).max(MAX_BYTES).default(fallback);
const milliseconds = (fallback: number, minimum = 1): z.ZodDefault<z.ZodInt> =>
  z.int().min(minimum).max(DAY_MS).default(fallback);

const planSchema = (realtime: boolean, maxConnections: number) =>
  z
    .strictObject({
      realtime: z.boolean().default(realtime).describe("Whether its tenants may subscribe and publish."),
      maxConnections: count(maxConnections, 0).describe("Connections of one tenant at a time, per server."),
      publishesPerSecond: z
        .int()
        .min(1)
        .max(MAX_COUNT)
        .optional()
        .describe("Events that one tenant may publish each second. Default: no limit."),
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
        "Bytes read for clients that have not taken them yet; beyond it no further snapshot is begun.",
      ),
    })
    .prefault({})
    .describe("Snapshots: the documents that a client asks for before their changes."),
  maxCachedKeys: count(10_000).describe("Checked keys kept in memory; those not used for longest go first."),
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
        "How long one attempt to make the slot waits for open transactions, in ms.",
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
      maxWatchedChannels: count(1_000_000).describe("Channels watched at a time."),
    })
    .prefault({})
    .describe("Sources of mode `wal`."),
  mongodb: z
    .strictObject({
      maxStreams: count(200).describe(
        "Collections in use at a time: each has one change stream and one connection.",
      ),
      joinWindowMs: milliseconds(3, 0).describe(
        "How long tenants that join a collection are gathered before its stream is opened again with them, in ms.",
      ),
      leaveDelayMs: milliseconds(5_000, 0).describe(
        "How long a tenant without subscribers stays in the stream, in ms.",
      ),
      catalogPollIntervalMs: milliseconds(500, 50).describe(
        "Between two looks for new and dropped collections, in ms.",
      ),
      connectTimeoutMs: milliseconds(5_000, 100).describe(
        "How long to look for a server before it counts as unreachable, in ms.",
      ),
      watchTimeoutMs: milliseconds(10_000, 100).describe("How long opening a stream may take, in ms."),
      maxDocumentBytes: bytes(64 * MEBIBYTE).describe(
        "A document whose JSON is longer is not delivered; its channel is reset.",
      ),
      maxFragments: count(16).describe(
        "Parts of up to 16 MB that a large event may come in; beyond them the collection is reset.",
      ),
      replayTimeoutMs: milliseconds(10_000, 100).describe(
        "How long events may be read again for a client that resumes from before its channel was watched, in ms.",
      ),
      maxConcurrentReplays: count(8).describe("Clients that events are read again for, at a time."),
    })
    .prefault({})
    .describe("Sources of kind `mongodb`. What a client may resume from is in `history`."),
});

/** The configuration as written: everything is optional. */
export type ConfigInput = z.input<typeof configSchema>;

/** The configuration as written, complete with defaults. */
export type ParsedConfig = z.output<typeof configSchema>;

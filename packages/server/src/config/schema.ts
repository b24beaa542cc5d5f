import { z } from "zod";
import { compressionSchema } from "./compression-schema.ts";
import { connectionsSchema, websocketSchema } from "./connection-schema.ts";
import { filterLimitsSchema } from "./filter-schema.ts";
import { mongoSettingsSchema } from "./mongodb-schema.ts";
import { plansSchema } from "./plan-schema.ts";
import { notifySettingsSchema, walSettingsSchema } from "./postgres-schema.ts";
import { bytes, count, MEBIBYTE, milliseconds } from "./ranges.ts";
import { snapshotsSchema } from "./snapshot-schema.ts";
import { mongoUrl, postgresUrl, sourceSchema } from "./source-schema.ts";

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
  plans: plansSchema,
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
        "Encoded events kept until all subscriptions near them have them; of about the same weight each, parsed ones for filters, and the values that filters look at. What is beyond it is made again.",
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
  connections: connectionsSchema,
  websocket: websocketSchema,
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
  snapshots: snapshotsSchema,
  maxCachedKeys: count(10_000).describe("Checked keys kept in memory; those not used for longest go first."),
  maxKeyLookups: count(1_000).describe(
    "Keys that the database is asked for at a time; clients with further ones are told to try again.",
  ),
  notify: notifySettingsSchema,
  wal: walSettingsSchema,
  mongodb: mongoSettingsSchema,
});

/** The configuration as written: everything is optional. */
export type ConfigInput = z.input<typeof configSchema>;

/** The configuration as written, complete with defaults. */
export type ParsedConfig = z.output<typeof configSchema>;

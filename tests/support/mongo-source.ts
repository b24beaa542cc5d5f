import { MongoClient, type CommandStartedEvent, type CommandSucceededEvent } from "mongodb";
import { pino } from "pino";
import type { ChannelKey, SourceEvent } from "../../packages/server/src/source/change-source.ts";
import {
  MongoSource,
  type MongoSourceOptions,
} from "../../packages/server/src/source/mongodb/mongo-source.ts";
import { RecordingSink } from "./recording-sink.ts";

/** A document whose `_id` a test chooses. */
export interface TestDocument {
  readonly _id: string | number;
  readonly [field: string]: unknown;
}

/** A MongoDB source that records what it pushes, and what its driver sends and receives. */
export interface TestMongoSource {
  readonly source: MongoSource;
  readonly sink: RecordingSink;
  readonly commands: readonly CommandStartedEvent[];
  readonly replies: readonly CommandSucceededEvent[];
  /** Lines of the log, as JSON. */
  readonly logLines: readonly string[];
  readonly watch: (tenant: string, collection: string) => Promise<string>;
  readonly replay: (
    key: ChannelKey,
    since: string,
    until: string,
  ) => Promise<readonly SourceEvent[] | undefined>;
}

/** Opens a source that records. */
export async function openMongoSource(
  options: Pick<MongoSourceOptions, "url"> & Partial<MongoSourceOptions>,
): Promise<TestMongoSource> {
  const sink = new RecordingSink();
  const commands: CommandStartedEvent[] = [];
  const replies: CommandSucceededEvent[] = [];
  const logLines: string[] = [];
  const source = new MongoSource({
    name: "mongodb",
    sink,
    log: pino({ level: "debug" }, { write: (line: string) => void logLines.push(line) }),
    createClient: (url, clientOptions) => {
      const client = new MongoClient(url, { ...clientOptions, monitorCommands: true });
      client.on("commandStarted", (event) => commands.push(event));
      client.on("commandSucceeded", (event) => replies.push(event));
      return client;
    },
    ...options,
  });
  await source.open();
  return {
    source,
    sink,
    commands,
    replies,
    logLines,
    watch: (tenant, collection) => source.watch({ tenant, collection }),
    replay: (key, since, until) => source.replay(key, since, until),
  };
}

import type { Logger } from "pino";
import { ConfigError } from "./config/config-error.ts";
import type { Config } from "./config/load-config.ts";
import type { PostgresSourceConfig, SourceConfig } from "./config/sources.ts";
import { keptNames } from "./data-dir/kept-names.ts";
import type { ChangeSink, ChangeSource } from "./source/change-source.ts";
import { MongoSource } from "./source/mongodb/mongo-source.ts";
import { PostgresNotifySource } from "./source/postgres/notify-source.ts";
import type { PostgresNotifySourceOptions } from "./source/postgres/notify-source.ts";
import type { TopicSink } from "./source/postgres/receiver.ts";
import { PostgresWalSource } from "./source/postgres/wal/wal-source.ts";
import { SourceDirectory } from "./source/source-directory.ts";
import type { SourceFigures } from "./telemetry/metrics.ts";

/** A source that was opened, and its figures for the metrics. */
export interface RunningSource {
  readonly source: ChangeSource;
  figures(): SourceFigures;
}

/** What sources are made of. */
export interface SourceContext {
  readonly config: Config;
  /** Of each source's database, in order. */
  readonly urls: readonly string[];
  /** Where the source of a name pushes its changes. */
  readonly sinkFor: (name: string) => ChangeSink;
  /** Where events go that are published in a database. */
  readonly topics: TopicSink;
  readonly log: Logger;
  /** Called with how to close a source, before it is opened. */
  readonly onClose: (close: () => Promise<void>) => void;
}

interface OpenableSource extends RunningSource {
  open(): Promise<void>;
}

/**
 * Opens every source of the configuration, each by its kind. A MongoDB that cannot be reached is no failure: it is
 * live later.
 *
 * @throws {Error} one sentence that says what to correct.
 */
export async function openSources(context: SourceContext): Promise<readonly RunningSource[]> {
  const running: RunningSource[] = [];
  for (const [index, config] of context.config.sources.entries()) {
    const openable = createSource(context, config, context.urls[index] ?? "");
    context.onClose(() => openable.source.close());
    await openable.open();
    running.push(openable);
  }
  const [collision] = new SourceDirectory(running.map(({ source }) => source)).collisions();
  if (collision !== undefined) {
    throw new ConfigError(
      `sources: two of them have a collection "${collision}". Name the collections of one of them in its "collections".`,
    );
  }
  return running;
}

function createSource(context: SourceContext, config: SourceConfig, url: string): OpenableSource {
  const { name } = config;
  const snapshots = { ...context.config.snapshots, timeoutMs: context.config.snapshotTimeoutMs };
  const log = context.log.child({ source: name });
  const common = { name, url, sink: context.sinkFor(name), log, snapshots };
  if (config.kind === "mongodb") {
    const { database, collections } = config;
    const { mongodb, history, dataDir } = context.config;
    const hiddenNeeds = keptNames(dataDir, `${name}-granted-fields.json`);
    const settings = {
      ...mongodb,
      maxReplayEvents: history.maxEventsPerChannel,
      maxReplayBytes: history.maxBytesPerChannel,
      maxReplayAgeMs: history.maxAgeMs,
    };
    const source = new MongoSource({ ...common, database, collections, settings, hiddenNeeds });
    return {
      source,
      open: () => source.open(),
      figures: () => ({
        name,
        live: source.state().live,
        collectionsWithoutDeletes: source.stats().collectionsWithoutDeletes,
      }),
    };
  }
  return config.mode === "wal"
    ? createWalSource(context, config, common)
    : createNotifySource(context, config, common);
}

type CommonOptions = Pick<PostgresNotifySourceOptions, "name" | "url" | "sink" | "log" | "snapshots">;

function createNotifySource(
  { topics, config: { notify } }: SourceContext,
  { name, collections }: PostgresSourceConfig,
  common: CommonOptions,
): OpenableSource {
  const source = new PostgresNotifySource({ ...common, collections, topics, settings: notify });
  return {
    source,
    open: () => source.open(),
    figures: () => {
      const { queueUsage, garbage, mismatched } = source.stats();
      return { name, live: source.state().live, queueUsage, ignored: garbage + mismatched };
    },
  };
}

function createWalSource(
  { topics, config: { wal, history } }: SourceContext,
  { name, slot, collections }: PostgresSourceConfig,
  common: CommonOptions,
): OpenableSource {
  const settings = {
    ...wal,
    maxHistoryAgeMs: history.maxAgeMs,
    maxHistoryBytes: wal.maxHistoryBytes ?? history.maxBytesTotal,
  };
  const source = new PostgresWalSource({ ...common, slot, collections, topics, settings });
  return {
    source,
    open: () => source.open(),
    figures: () => {
      const { slotLagBytes, slotKeptBytes, slotsLost, garbage } = source.stats();
      return { name, live: source.state().live, slotLagBytes, slotKeptBytes, slotsLost, ignored: garbage };
    },
  };
}

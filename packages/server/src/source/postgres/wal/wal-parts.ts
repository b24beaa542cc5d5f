import type { Logger } from "pino";
import type { ChangeSink } from "../../change-source.ts";
import type { Catalog } from "../catalog.ts";
import type { DatabasePool } from "../database-pool.ts";
import type { GrantedColumns } from "../granted-columns.ts";
import type { TopicSink } from "../receiver.ts";
import type { SnapshotReader } from "../snapshot/snapshot-reader.ts";
import { fetchVisibility } from "../snapshot/visibility.ts";
import { Acknowledgement } from "./acknowledgement.ts";
import { Barriers } from "./barriers.ts";
import { ChangeReceiver } from "./change-receiver.ts";
import { Enroller } from "./enroller.ts";
import { FollowedTables } from "./followed-tables.ts";
import { Journal } from "./journal.ts";
import { fetchPartitionRoot } from "./partition-root.ts";
import type { Publication } from "./publication.ts";
import { RecentCommits } from "./recent-commits.ts";
import type { WalSettings } from "./settings.ts";
import { SlotKeeper } from "./slot.ts";
import { SlotWatch } from "./slot-watch.ts";
import type { WalStats } from "./stats.ts";
import { StreamHistory } from "./stream-history.ts";
import { StreamPlace } from "./stream-place.ts";
import { TypeCatalog } from "./type-catalog.ts";
import { untilVisible } from "./until-visible.ts";
import { WalCapturer } from "./wal-capturer.ts";
import { WalCatalogFollower } from "./wal-catalog-follower.ts";
import { WalSnapshots } from "./wal-snapshots.ts";
import type { WalWatches } from "./wal-watches.ts";

/** What a {@link WalRunner} works with. */
export interface WalRunnerOptions {
  readonly url: string;
  readonly database: DatabasePool;
  readonly catalog: Catalog;
  readonly grantedColumns: GrantedColumns;
  readonly publication: Publication;
  readonly snapshotReader: SnapshotReader;
  readonly watches: WalWatches;
  readonly sink: ChangeSink;
  readonly topics: TopicSink;
  readonly settings: WalSettings;
  readonly stats: WalStats;
  readonly log: Logger;
  /** Gives everything up. */
  readonly signal: AbortSignal;
}

/** What the parts of a runner ask it, and tell it. */
export interface WalHooks {
  readonly isLive: () => boolean;
  /** Whether all that a former server had of the log was read again. */
  readonly isCaughtUp: () => boolean;
  /** What is wrong with a slot that works, or undefined. */
  readonly detail: (text: string | undefined) => void;
}

/** What becomes of the stream. */
interface Receiving {
  readonly place: StreamPlace;
  readonly journal: Journal;
  readonly acknowledgement: Acknowledgement;
  readonly commits: RecentCommits;
  readonly barriers: Barriers;
  readonly types: TypeCatalog;
  readonly receiver: ChangeReceiver;
  readonly history: StreamHistory;
}

/** Who sees to it that there is one, and that it has all that is watched. */
interface Following {
  readonly slots: SlotKeeper;
  readonly slotWatch: SlotWatch;
  readonly tables: FollowedTables;
  readonly capturer: WalCapturer;
  readonly snapshots: WalSnapshots;
  readonly follower: WalCatalogFollower;
}

/** Everything that a runner keeps going. */
export interface WalParts extends Receiving, Following {}

/** Makes the parts of a runner, each with those that it works with. */
export function createWalParts(options: WalRunnerOptions, hooks: WalHooks): WalParts {
  const receiving = createReceiving(options, hooks);
  return { ...receiving, ...createFollowing(options, hooks, receiving) };
}

function createReceiving(options: WalRunnerOptions, hooks: WalHooks): Receiving {
  const { database, settings, signal, stats } = options;
  const seen = () => fetchVisibility(database.pool);
  const parts = {
    place: new StreamPlace(),
    journal: new Journal(settings),
    acknowledgement: new Acknowledgement(settings),
    commits: new RecentCommits(seen),
    barriers: new Barriers(database),
    types: new TypeCatalog(database),
  };
  const receiver = new ChangeReceiver({
    ...options,
    ...parts,
    isCaughtUp: hooks.isCaughtUp,
    untilVisible: (transaction) => untilVisible(transaction, seen, settings.enrollTimeoutMs, signal),
    fetchPartitionRoot: (oid) => fetchPartitionRoot(database, oid),
  });
  return { ...parts, receiver, history: new StreamHistory({ ...parts, receiver, stats }) };
}

function createFollowing(options: WalRunnerOptions, hooks: WalHooks, receiving: Receiving): Following {
  const { database, log, publication, settings, sink, snapshotReader, stats } = options;
  const { acknowledgement, place, receiver } = receiving;
  const slots = new SlotKeeper(publication.name, database, settings, log);
  const bounded = (bytes: number): void => {
    acknowledgement.limitLogBytes(bytes);
  };
  const events = { detail: hooks.detail, bounded };
  const tables = new FollowedTables({ ...options, position: () => place.position });
  const shared = { ...options, ...receiving, enroller: new Enroller(options) };
  const capturer = new WalCapturer({
    ...shared,
    captured: (table, enrollment) => tables.follow(table, enrollment),
  });
  const follower = new WalCatalogFollower({
    ...shared,
    capturer,
    isLive: hooks.isLive,
    lost: async (collection, reason) => {
      receiver.lost(collection, reason);
      await tables.renew(collection);
    },
    released: (collection) => tables.release(collection),
    dropped: (collection) => {
      sink.dropped(collection, "collection_dropped");
    },
  });
  const slotWatch = new SlotWatch({ slots, settings, stats, log, events });
  const snapshots = new WalSnapshots({ ...receiving, reader: snapshotReader });
  return { slots, slotWatch, tables, capturer, snapshots, follower };
}

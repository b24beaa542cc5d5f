import type { Logger } from "pino";
import type { TopicSink } from "../receiver.ts";
import type { Barriers } from "./barriers.ts";
import type { ChangeReceiver, RowChange } from "./change-receiver.ts";
import type { Lsn } from "./lsn.ts";
import { PgoutputParser } from "./pgoutput.ts";
import type { LogicalMessage } from "./pgoutput.ts";
import { BARRIER_PREFIX, parsePublished, PUBLISH_PREFIX } from "./published-message.ts";
import type { RecentCommits } from "./recent-commits.ts";
import type { StreamHandler } from "./replication-connection.ts";
import type { WalStats } from "./stats.ts";
import type { StreamPlace } from "./stream-place.ts";

/** What a {@link StreamReader} works with. */
export interface StreamReaderOptions {
  readonly place: StreamPlace;
  readonly receiver: ChangeReceiver;
  readonly barriers: Barriers;
  readonly commits: RecentCommits;
  readonly topics: TopicSink;
  readonly stats: WalStats;
  readonly log: Logger;
  /** Whether what is published now was committed after the start. */
  readonly isCaughtUp: () => boolean;
  /** The stream has passed the place that somebody waits for. */
  readonly onBarrier: () => void;
}

/** Reads one run of the stream: knows where it is, and passes on what is new. */
export class StreamReader implements StreamHandler {
  readonly #options: StreamReaderOptions;
  readonly #parser = new PgoutputParser();
  /** What was processed, and handed on. */
  #processed: Lsn;

  constructor(options: StreamReaderOptions) {
    this.#options = options;
    this.#processed = options.place.processedLsn;
  }

  onData(payload: Buffer): void | Promise<void> {
    const { place, receiver, commits } = this.#options;
    const message = this.#parser.parse(payload);
    switch (message.kind) {
      case "insert":
      case "update":
      case "delete":
        return this.#change(message);
      case "begin":
        place.begin(message.finalLsn);
        receiver.begin(message.committedAtMs, message.xid);
        return commits.add(message.xid, message.finalLsn);
      case "commit":
        place.commit(message.endLsn);
        return undefined;
      case "relation":
        return receiver.relation(message.relation);
      case "truncate":
        if (place.next()) receiver.truncate(message.relations);
        return undefined;
      case "message":
        return this.#message(message);
      case "other":
        return undefined;
    }
  }

  onKeepalive(walEnd: Lsn): void {
    this.#options.place.advance(walEnd);
  }

  onPause(): undefined | Promise<void> {
    const upTo = this.#options.place.processedLsn;
    const busy = this.#options.receiver.flush();
    if (busy === undefined) {
      this.#processed = upTo;
      return undefined;
    }
    return busy.then(() => {
      this.#processed = upTo;
    });
  }

  processed(): Lsn {
    return this.#processed;
  }

  #change(change: RowChange): void | Promise<void> {
    return this.#options.place.next() ? this.#options.receiver.change(change) : undefined;
  }

  #message({ prefix, transactional, content }: LogicalMessage): void | Promise<void> {
    const { place, barriers, stats, log, topics, isCaughtUp, onBarrier } = this.#options;
    if (transactional && !place.next()) return undefined;
    if (prefix === BARRIER_PREFIX && barriers.seen(content)) onBarrier();
    if (prefix !== PUBLISH_PREFIX || !isCaughtUp()) return undefined;
    const published = transactional ? parsePublished(content) : undefined;
    if (published === undefined) {
      stats.garbage += 1;
      log.warn({ bytes: content.length, transactional }, "A published message is no event, and is ignored");
      return undefined;
    }
    stats.published += 1;
    return topics.publish(published.tenant, published.topic, published.data);
  }
}

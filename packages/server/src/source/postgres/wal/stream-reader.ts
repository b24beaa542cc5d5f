import type { Logger } from "pino";
import type { TopicSink } from "../receiver.ts";
import type { Barriers } from "./barriers.ts";
import type { ChangeReceiver } from "./change-receiver.ts";
import type { AcknowledgementRecord } from "./acknowledgement-record.ts";
import type { Journal } from "./journal.ts";
import { NO_LSN } from "./lsn.ts";
import type { Lsn } from "./lsn.ts";
import { PgoutputParser } from "./pgoutput.ts";
import type { LogicalMessage } from "./pgoutput.ts";
import { BARRIER_PREFIX, parsePublished, PUBLISH_PREFIX } from "./published-message.ts";
import type { RecentCommits } from "./recent-commits.ts";
import { RelationSweep } from "./relation-sweep.ts";
import type { RelationSweepOptions } from "./relation-sweep.ts";
import type { StreamHandler } from "./replication-connection.ts";
import type { WalStats } from "./stats.ts";
import { lsnOf } from "./stream-place.ts";
import type { StreamPlace } from "./stream-place.ts";

/** What a {@link StreamReader} works with. */
export interface StreamReaderOptions extends Pick<RelationSweepOptions, "database" | "settings"> {
  readonly place: StreamPlace;
  readonly receiver: ChangeReceiver;
  readonly barriers: Barriers;
  readonly commits: RecentCommits;
  readonly journal: Journal;
  readonly acknowledgement: AcknowledgementRecord;
  readonly topics: TopicSink;
  readonly stats: WalStats;
  readonly log: Logger;
  /** Whether what is published now was committed after the start. */
  readonly isCaughtUp: () => boolean;
  /** Whether topics get what is published: not what is read again, nor what comes behind a gap that they were not told of yet. */
  readonly mayPublish: () => boolean;
  /** How far our clock is ahead of the database's, in ms. */
  readonly clockAheadMs: number;
  /** The stream has passed the place that somebody waits for. */
  readonly onBarrier: () => void;
}

/** Reads one run of the stream: knows where it is, and passes on what is new. */
export class StreamReader implements StreamHandler {
  readonly #options: StreamReaderOptions;
  readonly #parser = new PgoutputParser();
  readonly #sweep: RelationSweep;
  /** What was processed, and handed on. */
  #processed: Lsn;
  /** When the newest transaction came, or would have come had this server been there. */
  #atMs = 0;

  constructor(options: StreamReaderOptions) {
    this.#options = options;
    this.#sweep = new RelationSweep({ ...options, parser: this.#parser });
    this.#processed = options.place.processedLsn;
  }

  onData(payload: Buffer): void | Promise<void> {
    const { place, receiver, commits } = this.#options;
    const message = this.#parser.parse(payload);
    switch (message.kind) {
      case "insert":
      case "update":
      case "delete":
        return receiver.change(message);
      case "begin":
        place.begin(message.finalLsn);
        this.#atMs = this.#timeOf(message.committedAtMs);
        receiver.begin(message.committedAtMs, message.xid, this.#atMs);
        return commits.add(message.xid, message.finalLsn);
      case "commit":
        place.commit(message.endLsn);
        return undefined;
      case "relation":
        this.#sweep.described();
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
    if (busy !== undefined) return busy.then(() => this.#handedOn(upTo));
    this.#handedOn(upTo);
    return undefined;
  }

  processed(): Lsn {
    return this.#processed;
  }

  acknowledged(): Lsn {
    const { journal, acknowledgement } = this.#options;
    journal.forgetAged();
    return acknowledgement.due(journal.completeSince === undefined ? NO_LSN : lsnOf(journal.completeSince));
  }

  #handedOn(upTo: Lsn): void {
    this.#processed = upTo;
    const { acknowledgement, isCaughtUp } = this.#options;
    acknowledgement.processed(upTo, isCaughtUp() ? Date.now() : this.#atMs);
  }

  /** What is read again for the journal is as old as it is; the rest, after an outage, is new. */
  #timeOf(committedAtMs: number): number {
    const { isCaughtUp, clockAheadMs } = this.#options;
    const nowMs = Date.now();
    return isCaughtUp() ? nowMs : Math.min(nowMs, committedAtMs + clockAheadMs);
  }

  #message({ prefix, transactional, content }: LogicalMessage): void | Promise<void> {
    const { place, barriers, receiver, stats, log, topics, mayPublish, onBarrier } = this.#options;
    if (transactional && !place.next()) return undefined;
    if (prefix === BARRIER_PREFIX && barriers.seen(content)) onBarrier();
    if (prefix !== PUBLISH_PREFIX || !mayPublish()) return undefined;
    const published = transactional ? parsePublished(content) : undefined;
    if (published === undefined) {
      stats.garbage += 1;
      log.warn({ bytes: content.length, transactional }, "A published message is no event, and is ignored");
      return undefined;
    }
    stats.published += 1;
    // What committed before is told before.
    void receiver.flush();
    return topics.publish(published.tenant, published.topic, published.data);
  }
}

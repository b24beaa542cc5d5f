import type { Logger } from "pino";
import { DatabasePool } from "./database-pool.ts";
import { followOwners } from "./function-owner.ts";
import { dropOrphanedFunctions, fetchOutboxMessage, sweepOutbox } from "./outbox.ts";
import { ensurePublishFunction } from "./publish-function.ts";
import { NOTIFY_PUBLISH, SOURCE_MIGRATIONS, SOURCE_SCHEMA_SET } from "./schema.ts";
import type { NotifySettings } from "./settings.ts";

/** Everything that a source in mode `notify` asks its database for, besides listening. */
export class SourceDatabase extends DatabasePool {
  readonly #settings: NotifySettings;

  constructor(url: string, applicationName: string, settings: NotifySettings, log: Logger) {
    super({ url, applicationName, connectTimeoutMs: settings.connectTimeoutMs, log });
    this.#settings = settings;
  }

  /** Connects, checks the version and brings schema `paperdb` up to date. */
  async prepare(): Promise<void> {
    await this.inspect();
    await this.migrate(SOURCE_SCHEMA_SET, SOURCE_MIGRATIONS);
    await this.use((client) => ensurePublishFunction(client, NOTIFY_PUBLISH));
  }

  async fetchQueueUsage(): Promise<number> {
    const result = await this.pool.query<{ usage: number }>("select pg_notification_queue_usage() as usage");
    return result.rows[0]?.usage ?? 0;
  }

  /**
   * Sends a notification of our own. Writers wait for one another's notifications while they commit, so it does not
   * wait for the disk meanwhile.
   *
   * @param channel - and the payload: without quotes and backslashes.
   */
  async notify(channel: string, payload: string): Promise<void> {
    await this.use((client) =>
      client.query(
        `begin; set local synchronous_commit = off; select pg_catalog.pg_notify('${channel}', '${payload}'); commit`,
      ),
    );
  }

  async fetchOutboxMessage(id: string): Promise<string | undefined> {
    return fetchOutboxMessage(this.pool, id);
  }

  /** Removes outbox rows that were fetched long ago, and what dropped tables left behind. */
  async sweep(retentionMs: number): Promise<void> {
    await sweepOutbox(this.pool, retentionMs);
    await dropOrphanedFunctions(this.pool);
  }

  /** Gives the capture functions of tables whose owner changed to the new one. */
  async followOwners(): Promise<void> {
    await followOwners(this.pool, this.#settings.lockTimeoutMs);
  }
}

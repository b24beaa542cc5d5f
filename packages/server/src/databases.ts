import type { Logger } from "pino";
import type { Config } from "./config/load-config.ts";
import { readOrCreateSecret } from "./data-dir/secrets.ts";
import { startEmbeddedPostgres } from "./embedded/embedded-postgres.ts";
import { lockDataDir } from "./embedded/server-lock.ts";

/** The databases of a configuration, running. */
export interface Databases {
  /** Of each source, in order. */
  readonly urls: readonly string[];
  /** Whether tenants, and so the demo, are in the embedded database. */
  readonly tenantsAreEmbedded: boolean;
  close(): Promise<void>;
}

/** Starts the embedded database where the configuration asks for it, as its only server. */
export async function openDatabases(
  config: Config,
  log: Logger,
  onLockLost: (error: Error) => void,
): Promise<Databases> {
  const usesEmbedded = config.sources.some(({ url }) => url === "embedded");
  if (!usesEmbedded) {
    return {
      urls: config.sources.map(({ url }) => url),
      tenantsAreEmbedded: false,
      close: () => Promise.resolve(),
    };
  }
  const password = config.pgPassword ?? (await readOrCreateSecret(config.dataDir, "pg-password"));
  const postgres = await startEmbeddedPostgres({
    dataDir: config.dataDir,
    port: config.pgPort,
    password,
    log: (message, fields) => log.info(fields, message),
  });
  try {
    const lock = await lockDataDir(postgres.url, config.dataDir, { onLost: onLockLost });
    return {
      urls: config.sources.map(({ url }) => (url === "embedded" ? postgres.url : url)),
      tenantsAreEmbedded: config.sources[0].url === "embedded",
      async close() {
        await lock.release();
        await postgres.close();
      },
    };
  } catch (error) {
    await postgres.close();
    throw error;
  }
}

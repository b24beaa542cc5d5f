import type { Logger } from "pino";
import type { Config } from "./config/load-config.ts";
import { readOrCreateSecret } from "./data-dir/secrets.ts";
import { startEmbeddedPostgres } from "./embedded/embedded-postgres.ts";
import { lockDataDir } from "./embedded/server-lock.ts";

/** The databases of a configuration, running. */
export interface Databases {
  /** Of each source, in order. */
  readonly urls: readonly string[];
  /** Of the PostgreSQL database with tenants and keys. */
  readonly tenantsUrl: string;
  close(): Promise<void>;
}

/** Whether the embedded database is a source, or has tenants and keys. */
export function usesEmbedded({ sources, tenantsUrl }: Config): boolean {
  return tenantsUrl === "embedded" || sources.some(({ url }) => url === "embedded");
}

/** The URLs of a configuration, with that of the embedded database in its places. */
export function urlsOf(
  { sources, tenantsUrl }: Config,
  embeddedUrl: string,
): Pick<Databases, "urls" | "tenantsUrl"> {
  const resolve = (url: string): string => (url === "embedded" ? embeddedUrl : url);
  return { urls: sources.map(({ url }) => resolve(url)), tenantsUrl: resolve(tenantsUrl) };
}

/** Starts the embedded database where the configuration asks for it, as its only server. */
export async function openDatabases(
  config: Config,
  log: Logger,
  onLockLost: (error: Error) => void,
): Promise<Databases> {
  if (!usesEmbedded(config)) return { ...urlsOf(config, ""), close: () => Promise.resolve() };
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
      ...urlsOf(config, postgres.url),
      async close() {
        try {
          await lock.release();
        } finally {
          await postgres.close();
        }
      },
    };
  } catch (error) {
    await postgres.close();
    throw error;
  }
}

import { InvalidArgumentError } from "commander";
import type { Command } from "commander";
import { loadConfig } from "../config/load-config.ts";
import type { Config } from "../config/load-config.ts";
import { readOrCreateSecret } from "../data-dir/secrets.ts";
import { urlsOf, usesEmbedded, type Databases } from "../databases.ts";
import { startEmbeddedPostgres } from "../embedded/embedded-postgres.ts";
import type { TenantStore } from "../tenants/tenant-store.ts";
import { openTenantDatabase } from "../tenants/tenant-database.ts";
import type { Terminal } from "./terminal.ts";

/** The configuration that `--config` and the environment name. */
export function loadCommandConfig(command: Command, terminal: Terminal): Config {
  const { config } = command.optsWithGlobals<{ readonly config?: string }>();
  const env = config === undefined ? terminal.env : { ...terminal.env, PAPERDB_CONFIG: config };
  return loadConfig(env, terminal.cwd);
}

/** The URLs that a command works with. */
export type DatabaseUrls = Pick<Databases, "urls" | "tenantsUrl">;

/**
 * Runs `work` with the URLs of all databases. An embedded database that runs is
 * used as it is; one that does not is started, and stopped afterwards.
 */
export async function withDatabases<T>(
  config: Config,
  work: (databases: DatabaseUrls) => Promise<T>,
): Promise<T> {
  if (!usesEmbedded(config)) return work(urlsOf(config, ""));
  const { dataDir, pgPort: port } = config;
  const password = config.pgPassword ?? (await readOrCreateSecret(dataDir, "pg-password"));
  const postgres = await startEmbeddedPostgres({ dataDir, port, password, restart: false });
  try {
    return await work(urlsOf(config, postgres.url));
  } finally {
    await postgres.close();
  }
}

/** Runs `work` with the tenants and keys. */
export function withTenants<T>(
  command: Command,
  terminal: Terminal,
  work: (store: TenantStore) => Promise<T>,
): Promise<T> {
  return withDatabases(loadCommandConfig(command, terminal), async ({ tenantsUrl }) => {
    const tenants = await openTenantDatabase({
      url: tenantsUrl,
      log: { warn: () => undefined },
      maxConnections: 1,
    });
    try {
      return await work(tenants.store);
    } finally {
      await tenants.close();
    }
  });
}

/** A parser for an option or argument that takes one of a few words. */
export function oneOf<Word extends string>(words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((candidate) => candidate === text);
    if (word === undefined) throw new InvalidArgumentError(`It must be ${words.join(", ")}.`);
    return word;
  };
}

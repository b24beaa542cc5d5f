import { createInterface } from "node:readline/promises";
import { Command } from "commander";
import type { MongoSourceConfig } from "../config/sources.ts";
import { uninstall as uninstallMongo } from "../source/mongodb/uninstall.ts";
import { uninstall as uninstallPostgres } from "../source/postgres/uninstall.ts";
import { uninstallTenants } from "../tenants/uninstall-tenants.ts";
import { loadCommandConfig, withDatabases } from "./command-context.ts";
import type { Terminal } from "./terminal.ts";

interface UninstallOptions {
  readonly yes?: true;
  readonly tenants?: true;
  readonly preImages?: true;
}

/** `uninstall`: takes everything back that the server has put into a database. */
export function uninstallCommand(terminal: Terminal): Command {
  return new Command("uninstall")
    .description(
      "Remove every trigger, function, replication slot and publication of PaperDB Realtime from the databases of all sources. " +
        "Stop the servers first: a running one sets everything up again. Your tables and rows stay.",
    )
    .option(
      "--tenants",
      "also drop tenants and keys, and schema paperdb; otherwise a later start has them again",
    )
    .option(
      "--pre-images",
      "also disable pre-images of MongoDB collections, those included that an application needs",
    )
    .option("-y, --yes", "do not ask")
    .action(async (options: UninstallOptions, command: Command) => {
      const config = loadCommandConfig(command, terminal);
      await confirm(options, config.sources.map(({ name }) => name).join(", "), terminal);
      await withDatabases(config, async ({ urls, tenantsUrl }) => {
        for (const [index, source] of config.sources.entries()) {
          const url = urls[index] ?? "";
          if (source.kind === "mongodb") await uninstallFromMongo(url, source, options, terminal);
          else await uninstallFromPostgres(url, source.name, options.tenants === true, terminal);
        }
        if (urls.includes(tenantsUrl)) return;
        await uninstallTenants(tenantsUrl, options.tenants === true);
        if (options.tenants) terminal.stdout.write("Tenants and keys are gone.\n");
      });
    });
}

async function uninstallFromPostgres(
  url: string,
  name: string,
  withTenants: boolean,
  terminal: Terminal,
): Promise<void> {
  await uninstallTenants(url, withTenants);
  const { tables, functions, slots } = await uninstallPostgres(url);
  // Again, for the schema: only now nothing of the source is left in it.
  if (withTenants) await uninstallTenants(url, true);
  terminal.stdout.write(
    `Source ${name}: removed ${String(functions)} functions, and the triggers of ${String(tables.length)} tables` +
      `${tables.length === 0 ? "" : ` (${tables.join(", ")})`}${
        slots.length === 0 ? "" : `; dropped the replication slot and publication ${slots.join(", ")}`
      }.${withTenants ? " Tenants and keys are gone." : ""}\n`,
  );
}

async function uninstallFromMongo(
  url: string,
  { name, database }: MongoSourceConfig,
  { preImages }: UninstallOptions,
  { stdout }: Terminal,
): Promise<void> {
  const { collections, disabled } = await uninstallMongo(url, database, preImages === true);
  if (collections.length === 0) {
    stdout.write(`Source ${name}: nothing to remove.\n`);
    return;
  }
  const shown = `${String(collections.length)} collections (${collections.join(", ")})`;
  stdout.write(
    disabled
      ? `Source ${name}: disabled the pre-images of ${shown}.\n`
      : `Source ${name}: pre-images stay enabled on ${shown}, since an application may need them too; --pre-images disables them.\n`,
  );
}

async function confirm(options: UninstallOptions, sources: string, terminal: Terminal): Promise<void> {
  if (options.yes) return;
  if (!terminal.stdin.isTTY)
    throw new Error("uninstall asks before it removes anything: add --yes where nobody can answer.");
  const what = options.tenants ? "all triggers, functions, tenants and keys" : "all triggers and functions";
  const dialog = createInterface({ input: terminal.stdin, output: terminal.stderr });
  const answer = await dialog.question(`Remove ${what} from ${sources}? [y/N] `);
  dialog.close();
  if (!/^y(?:es)?$/i.test(answer.trim())) throw new Error("Nothing was removed.");
}

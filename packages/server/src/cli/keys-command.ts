import { RealtimeError } from "@paperdb/protocol";
import { Command } from "commander";
import { checkFilters } from "../auth/grant-filters.ts";
import type { KeyRole } from "../auth/grant.ts";
import type { KeyInfo, TenantStore } from "../tenants/tenant-store.ts";
import { loadCommandConfig, oneOf, withTenants } from "./command-context.ts";
import { formatTable } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

const PAGE_SIZE = 1000;
const ROLES = ["anon", "secret"] as const;

interface CreateOptions {
  readonly role: KeyRole;
  readonly collections?: readonly string[];
  readonly where?: string;
  readonly json?: true;
}

/** `keys list | create | revoke`. */
export function keysCommand(terminal: Terminal): Command {
  const { stdout, stderr } = terminal;
  const keys = new Command("keys").description("Manage a tenant's keys");
  keys
    .command("list")
    .description("List a tenant's keys; their text is not stored")
    .argument("<tenant>", "the tenant's id")
    .option("--json", "as JSON")
    .action(async (tenant: string, options: { readonly json?: true }, command: Command) => {
      const all = await withTenants(command, terminal, (store) => listAll(store, tenant));
      if (options.json) stdout.write(`${JSON.stringify({ keys: all }, null, 2)}\n`);
      else stdout.write(formatTable(["ID", "ROLE", "COLLECTIONS", "WHERE", "CREATED"], all.map(toRow)));
    });
  keys
    .command("create")
    .description("Create a key and print it, this once")
    .argument("<tenant>", "the tenant's id")
    .option("--role <role>", "anon: subscribe; secret: also publish", oneOf(ROLES), "anon")
    .option("--collections <names...>", "the only collections that it grants (default: all)")
    .option(
      "--where <json>",
      'filters by collection, the only documents that it grants: {"todos":{"owner":"ada"}}',
    )
    .option("--json", "as JSON")
    .action(async (tenant: string, options: CreateOptions, command: Command) => {
      const { role, collections, json } = options;
      const { filters: limits } = loadCommandConfig(command, terminal);
      const where = checkFilters(parseWhere(options.where), { origin: "--where", collections, limits });
      const created = await withTenants(command, terminal, (store) =>
        store.createKey(tenant, role, { collections, where }),
      );
      if (json) {
        stdout.write(`${JSON.stringify(created)}\n`);
        return;
      }
      // Apart from the key, so that $(…) gives the key alone.
      stderr.write(`Key ${created.id} of tenant ${tenant}, shown this once:\n`);
      stdout.write(`${created.key}\n`);
    });
  keys
    .command("revoke")
    .description("Revoke a key and end its connections")
    .argument("<tenant>", "the tenant's id")
    .argument("<key-id>", "the key's id, as `keys list` shows it")
    .action(async (tenant: string, keyId: string, _options: unknown, command: Command) => {
      await withTenants(command, terminal, (store) => store.deleteKey(tenant, keyId));
      stdout.write(`Revoked key ${keyId} of tenant ${tenant}.\n`);
    });
  return keys;
}

async function listAll(store: TenantStore, tenant: string): Promise<readonly KeyInfo[]> {
  const all: KeyInfo[] = [];
  for (;;) {
    const page = await store.listKeys(tenant, { after: all.at(-1)?.id, limit: PAGE_SIZE });
    all.push(...page);
    if (page.length < PAGE_SIZE) return all;
  }
}

function toRow(key: KeyInfo): readonly string[] {
  return [key.id, key.role, key.collections?.join(", ") ?? "all", whereOf(key), key.createdAt];
}

function whereOf({ where }: KeyInfo): string {
  return where === null ? "all" : JSON.stringify(where);
}

function parseWhere(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new RealtimeError(
      "invalid_filter",
      '--where is not JSON. Write an object such as {"todos":{"owner":"ada"}}, and quote it for the shell.',
    );
  }
}

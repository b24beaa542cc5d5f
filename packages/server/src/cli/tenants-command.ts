import { Command } from "commander";
import { PLANS } from "../tenants/tenant-store.ts";
import type { Plan, TenantStore, Tenant } from "../tenants/tenant-store.ts";
import { oneOf, withTenants } from "./command-context.ts";
import { formatTable } from "./terminal.ts";
import type { Terminal } from "./terminal.ts";

const PAGE_SIZE = 1000;
const PLAN_HELP = PLANS.join(", ");

/** `tenants list | create | set-plan | delete`. */
export function tenantsCommand(terminal: Terminal): Command {
  const { stdout } = terminal;
  const tenants = new Command("tenants").description("Manage tenants");
  tenants
    .command("list")
    .description("List all tenants")
    .option("--json", "as JSON")
    .action(async (options: { readonly json?: true }, command: Command) => {
      const all = await withTenants(command, terminal, listAll);
      if (options.json) stdout.write(`${JSON.stringify({ tenants: all }, null, 2)}\n`);
      else
        stdout.write(
          formatTable(
            ["ID", "PLAN", "CREATED"],
            all.map((tenant) => [tenant.id, tenant.plan, tenant.createdAt]),
          ),
        );
    });
  tenants
    .command("create")
    .description("Create a tenant")
    .argument("<id>", "the text form of the tenant column of its rows")
    .option("--plan <plan>", PLAN_HELP, oneOf(PLANS), "pro")
    .option("--json", "as JSON")
    .action(async (id: string, options: { readonly plan: Plan; readonly json?: true }, command: Command) => {
      const tenant = await withTenants(command, terminal, (store) => store.createTenant(id, options.plan));
      stdout.write(
        options.json ? `${JSON.stringify(tenant)}\n` : `Created tenant ${id} on plan ${tenant.plan}.\n`,
      );
    });
  tenants
    .command("set-plan")
    .description("Move a tenant to another plan; one without realtime ends its connections")
    .argument("<id>", "the tenant")
    .argument("<plan>", PLAN_HELP, oneOf(PLANS))
    .action(async (id: string, plan: Plan, _options: unknown, command: Command) => {
      await withTenants(command, terminal, (store) => store.setPlan(id, plan));
      stdout.write(`Tenant ${id} is on plan ${plan}.\n`);
    });
  tenants
    .command("delete")
    .description("Delete a tenant and its keys, and end its connections; its rows stay")
    .argument("<id>", "the tenant")
    .action(async (id: string, _options: unknown, command: Command) => {
      await withTenants(command, terminal, (store) => store.deleteTenant(id));
      stdout.write(`Deleted tenant ${id}.\n`);
    });
  return tenants;
}

async function listAll(store: TenantStore): Promise<readonly Tenant[]> {
  const all: Tenant[] = [];
  for (;;) {
    const page = await store.listTenants({ after: all.at(-1)?.id, limit: PAGE_SIZE });
    all.push(...page);
    if (page.length < PAGE_SIZE) return all;
  }
}

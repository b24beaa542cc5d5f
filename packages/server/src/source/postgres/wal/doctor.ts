import type { Client } from "pg";
import type { Finding } from "../../finding.ts";
import { aboutTable } from "../about-table.ts";
import type { Collections } from "../collections.ts";
import type { ServerFacts } from "../doctor-facts.ts";
import { ok, problem, warning } from "../findings.ts";
import { checkWal, fetchWalFacts } from "./requirements.ts";
import { whyNotEncodable } from "./encodable.ts";
import { WAL_DEFAULTS } from "./settings.ts";
import type { WalSettings } from "./settings.ts";
import { fetchDefaultSlotName } from "./slot.ts";
import { describeTrouble, kindOfTrouble } from "./slot-watch.ts";
import { TypeCatalog } from "./type-catalog.ts";
import { fetchColumnTypes } from "./type-query.ts";

/** What `doctor` is told of a source in mode `wal`. */
export interface WalDoctorOptions extends Partial<
  Pick<WalSettings, "allowUnboundedSlot" | "maxSlotLagBytes">
> {
  readonly slot?: string | undefined;
}

/** What of the database's server mode `wal` depends on, and how the slot does. */
export async function aboutWal(client: Client, options: WalDoctorOptions): Promise<readonly Finding[]> {
  const settings = { ...WAL_DEFAULTS, ...options };
  const slot = options.slot ?? (await fetchDefaultSlotName({ pool: client }));
  const facts = await fetchWalFacts(client, slot);
  const { walStatus, lagBytes } = facts;
  if (walStatus === null) return checkWal(facts, slot, settings);
  const status = { walStatus, lagBytes };
  const aboutSlot =
    kindOfTrouble(status, settings.maxSlotLagBytes) === undefined
      ? ok(`The replication slot "${slot}" keeps up.`)
      : warning(
          describeTrouble(slot, status),
          "See that the server runs and keeps up; if it is not to run any more, uninstall it, so that the database can remove its log.",
        );
  return [...checkWal(facts, slot, settings), aboutSlot];
}

/** Which tables can be streamed. */
export async function aboutWalCollections(
  client: Client,
  { tables, unusable }: Collections,
  facts: ServerFacts,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const types = new TypeCatalog({ pool: client });
  for (const table of tables.values()) {
    const shown = `"${table.collection}"`;
    const columns = await fetchColumnTypes(client, table.oid);
    await types.load(columns);
    const reason = whyNotEncodable(
      { schema: table.name.schema, name: table.name.table, columns },
      table,
      types,
    );
    if (reason !== undefined) {
      findings.push(warning(reason));
    } else if (!facts.ownedTables.has(table.oid)) {
      findings.push(
        problem(
          `The user ${facts.user} may not publish the table of collection ${shown}.`,
          `Make it a member of the table's owner: GRANT <owner> TO ${facts.user};`,
        ),
      );
    } else if (table.triggers.length > 0) {
      findings.push(
        warning(
          `The triggers of mode "notify" are still on the table of collection ${shown}, and cost every write of it.`,
          "Stop the server, run uninstall, and start it again.",
        ),
      );
    } else {
      findings.push(aboutTable(table, facts));
    }
  }
  return [...findings, ...[...unusable.values()].map((sentence) => warning(sentence))];
}

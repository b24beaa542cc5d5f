import { escapeIdentifier, escapeLiteral } from "pg";
import type { Client } from "pg";
import type { Finding } from "../../finding.ts";
import { aboutTable } from "../about-table.ts";
import type { Collections } from "../collections.ts";
import type { ServerFacts } from "../doctor-facts.ts";
import { ok, problem, warning } from "../findings.ts";
import { fetchEnrollment } from "./publication-contents.ts";
import { checkWal, fetchWalFacts } from "./requirements.ts";
import type { WalFacts } from "./requirements.ts";
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
  const slot = await slotName(client, options);
  const facts = await fetchWalFacts(client, slot);
  return [
    ...checkWal(facts, slot, settings),
    ...(facts.walStatus === null ? [] : [aboutSlot(slot, facts, facts.walStatus, settings.maxSlotLagBytes)]),
    ...(facts.isForAllTables ? [aboutAllTables(slot)] : []),
    ...(await aboutOtherSlots(client, slot)),
  ];
}

function slotName(client: Client, { slot }: WalDoctorOptions): Promise<string> {
  return slot === undefined ? fetchDefaultSlotName({ pool: client }) : Promise.resolve(slot);
}

function aboutSlot(slot: string, facts: WalFacts, walStatus: string, maxLagBytes: number): Finding {
  if (!facts.isSlotOurs) {
    return problem(
      `The replication slot "${slot}" is of another program or database.`,
      'Set another "slot" for this source, or drop that one (pg_drop_replication_slot).',
    );
  }
  const { lagBytes, keptBytes, maxSlotKeepMb } = facts;
  const maxKeptBytes = maxSlotKeepMb < 0 ? Infinity : maxSlotKeepMb * 1024 * 1024;
  const status = { walStatus, lagBytes, keptBytes, maxKeptBytes };
  if (kindOfTrouble(status, maxLagBytes) === undefined) {
    return ok(`The replication slot "${slot}" keeps up.`);
  }
  return warning(
    describeTrouble(slot, status, maxLagBytes),
    "See that the server runs and keeps up; if it is not to run any more, uninstall it, so that the database can remove its log.",
  );
}

function aboutAllTables(publication: string): Finding {
  const shown = escapeIdentifier(publication);
  return problem(
    `The publication ${shown} is FOR ALL TABLES, so that updates of tables without a primary key would fail.`,
    `Run: DROP PUBLICATION ${shown};`,
  );
}

/** Those of servers that had another name for it, and may be gone. */
async function aboutOtherSlots(client: Client, slot: string): Promise<readonly Finding[]> {
  const known = await client.query("select where to_regclass('paperdb.wal_slots') is not null");
  if (known.rowCount === 0) return [];
  const result = await client.query<{ name: string }>(
    `select w.name from paperdb.wal_slots w join pg_replication_slots s on s.slot_name = w.name
     where w.name <> $1 and not s.active order by 1`,
    [slot],
  );
  return result.rows.map(({ name }) =>
    warning(
      `Nobody reads the replication slot "${name}", which a server of this database has made: it keeps the database's log.`,
      `If that server is gone for good, run: SELECT pg_drop_replication_slot(${escapeLiteral(name)}); DROP PUBLICATION IF EXISTS ${escapeIdentifier(name)};`,
    ),
  );
}

/** Which tables can be streamed. */
export async function aboutWalCollections(
  client: Client,
  { tables, unusable }: Collections,
  facts: ServerFacts,
  options: WalDoctorOptions,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const enrollment = await fetchEnrollment(client, await slotName(client, options));
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
    } else if (!facts.ownedTables.has(table.oid) && !enrollment.has(table.oid)) {
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

import { Client, DatabaseError } from "pg";
import type { Logger } from "pino";
import { proveDelivery } from "../../postgres/delivery-probe.ts";
import { closeConnection, openConnection } from "../../postgres/connection.ts";
import { fetchTables } from "./catalog-query.ts";
import { toCollections, columnsOfInterest } from "./collections.ts";
import type { Collections, CollectionsConfig } from "./collections.ts";
import { OLDEST_VERSION } from "./database-pool.ts";
import { fetchServerFacts } from "./doctor-facts.ts";
import type { ServerFacts } from "./doctor-facts.ts";
import type { Finding } from "../finding.ts";
import { ok, problem, warning } from "./findings.ts";
import { isCaptured } from "./installed.ts";
import { openError } from "./open-error.ts";
import { aboutTable } from "./about-table.ts";
import { aboutWal, aboutWalCollections } from "./wal/doctor.ts";

/** Which source {@link diagnose} looks at. */
export interface DoctorOptions {
  readonly name: string;
  readonly url: string;
  readonly collections?: CollectionsConfig | undefined;
  /** Default: `notify`. */
  readonly mode?: "notify" | "wal";
  /** Mode `wal`: the slot's name, and what is allowed. */
  readonly slot?: string | undefined;
  readonly allowUnboundedSlot?: boolean;
  readonly maxSlotLagBytes?: number;
  readonly log: Logger;
  /** How long anything may take. Default 5,000. */
  readonly timeoutMs?: number;
}

/** A queue this full is on its way to half, where changes are not sent any more. */
const QUEUE_USAGE_WARNING = 0.1;

/** The SQLSTATE of a NOTIFY that finds no room. */
const QUEUE_FULL = "54000";

/** Looks at everything that this source needs of its database, and says what to fix. Changes nothing. */
export async function diagnose(options: DoctorOptions): Promise<readonly Finding[]> {
  const { url, timeoutMs = 5_000 } = options;
  const client = new Client({
    connectionString: url,
    application_name: "paperdb-realtime doctor",
    connectionTimeoutMillis: timeoutMs,
  });
  client.on("error", (error) => {
    options.log.debug({ reason: error.message }, "The connection to the database was lost");
  });
  try {
    await client.connect();
  } catch (error) {
    return [{ level: "error", title: openError(options.name, url, error).message, fix: "Correct the url." }];
  }
  try {
    const facts = await fetchServerFacts(client);
    const tables = await fetchTables(client, columnsOfInterest(options.collections));
    const collections = toCollections(tables, options.collections);
    if (options.mode === "wal") {
      return [
        ...aboutServer(facts),
        ...(await aboutWal(client, options)),
        ...(await aboutWalCollections(client, collections, facts, options)),
      ];
    }
    return [
      ...aboutServer(facts),
      ...aboutNotifications(facts),
      await aboutDelivery(url, timeoutMs),
      ...aboutCollections(collections, facts),
    ];
  } finally {
    await client.end();
  }
}

function aboutServer(facts: ServerFacts): readonly Finding[] {
  return [
    facts.version < OLDEST_VERSION
      ? problem(`PostgreSQL ${facts.shownVersion} is too old.`, "Upgrade to version 14 or newer.")
      : ok(`PostgreSQL ${facts.shownVersion} is reachable.`),
    facts.mayUseSchema
      ? ok('Schema "paperdb" can be set up.')
      : problem(
          `The user ${facts.user} may not set up schema "paperdb".`,
          `As a superuser or the database's owner, run: CREATE SCHEMA paperdb AUTHORIZATION ${facts.user};`,
        ),
  ];
}

function aboutNotifications(facts: ServerFacts): readonly Finding[] {
  return [
    facts.maxPreparedTransactions > 0
      ? warning(
          "Prepared transactions are enabled (max_prepared_transactions is above 0): PREPARE TRANSACTION fails in a transaction that changed a collection, since NOTIFY cannot be prepared.",
          "Keep two-phase commit away from collections, or set max_prepared_transactions = 0.",
        )
      : ok("Prepared transactions are disabled."),
    facts.queueUsage > QUEUE_USAGE_WARNING
      ? warning(
          `The notification queue is ${String(Math.round(facts.queueUsage * 100))} % full.`,
          "End sessions that LISTEN inside an open transaction (pg_stat_activity, state 'idle in transaction').",
        )
      : ok("The notification queue has room."),
  ];
}

async function aboutDelivery(url: string, timeoutMs: number): Promise<Finding> {
  try {
    const options = { url, applicationName: "paperdb-realtime doctor", connectTimeoutMs: timeoutMs };
    const connection = await openConnection(options);
    try {
      await proveDelivery(connection, { ...options, probeTimeoutMs: timeoutMs });
    } finally {
      await closeConnection(connection, 1_000);
    }
    return ok("A NOTIFY arrives.");
  } catch (cause) {
    if (cause instanceof DatabaseError && cause.code === QUEUE_FULL) {
      return problem(
        "The notification queue is full: commits that notify fail.",
        "End sessions that LISTEN inside an open transaction (pg_stat_activity, state 'idle in transaction'); on 17 and newer, raise max_notify_queue_pages.",
      );
    }
    return problem(
      cause instanceof Error ? cause.message : String(cause),
      "Set the source's url to the PostgreSQL server itself.",
    );
  }
}

function aboutCollections({ tables, unusable }: Collections, facts: ServerFacts): readonly Finding[] {
  const findings = [...tables.values()].map((table): Finding => {
    const shown = `"${table.collection}"`;
    if (!facts.ownedTables.has(table.oid)) {
      return problem(
        `The user ${facts.user} may not install a trigger on the table of collection ${shown}.`,
        `Make it a member of the table's owner: GRANT <owner> TO ${facts.user};`,
      );
    }
    if (table.triggers.length > 0 && !isCaptured(table)) {
      return warning(
        `The triggers of collection ${shown} are disabled or not up to date.`,
        "The server installs them again when the collection is subscribed to; do not disable them.",
      );
    }
    return aboutTable(table, facts);
  });
  return [...findings, ...[...unusable.values()].map((sentence) => warning(sentence))];
}

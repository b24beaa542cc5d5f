import { Client } from "pg";
import { PgoutputParser } from "../../packages/server/src/source/postgres/wal/pgoutput.ts";
import type { WalMessage } from "../../packages/server/src/source/postgres/wal/pgoutput.ts";
import type { Relation } from "../../packages/server/src/source/postgres/wal/relation.ts";
import { RowEncoder } from "../../packages/server/src/source/postgres/wal/row-encoder.ts";
import type { RowRules } from "../../packages/server/src/source/postgres/wal/encodable.ts";
import { VALUE_OPTIONS } from "../../packages/server/src/source/postgres/wal/stream-settings.ts";
import { TypeCatalog } from "../../packages/server/src/source/postgres/wal/type-catalog.ts";
import type { TestDatabase } from "./postgres.ts";

/** A change as the wal decoder makes it, before anything is said about tenants. */
interface DecodedChange {
  readonly type: "insert" | "update" | "delete";
  readonly tenant: string | null;
  readonly id: string;
  readonly text: string;
}

/** Reads what the server logged, by SQL in place of a replication connection. */
export interface WalReader {
  readonly types: TypeCatalog;
  /** The payloads since the last call. */
  payloads(): Promise<readonly Buffer[]>;
  /** Parses them, with the types of their relations loaded before the rows are. */
  messages(): Promise<readonly WalMessage[]>;
  /** The changes among these messages, of one table where it is named. */
  decode(messages: readonly WalMessage[], rules: RowRules, table?: string): readonly DecodedChange[];
  /** The changes since the last call. */
  changes(rules: RowRules): Promise<readonly DecodedChange[]>;
  close(): Promise<void>;
}

/** @param tables - as SQL names them; they get REPLICA IDENTITY FULL. */
export async function openWalReader(
  database: TestDatabase,
  tables: readonly string[],
  identity = "full",
): Promise<WalReader> {
  const version = await fetchVersion(database);
  for (const table of tables) await database.query(`alter table ${table} replica identity ${identity}`);
  const generated = version >= 180_000 ? " with (publish_generated_columns = stored)" : "";
  await database.query(`create publication wal_reader for table ${tables.join(", ")}${generated}`);
  const slot = `${database.name}_reader`;
  await database.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
  const client = new Client({ connectionString: database.url, options: VALUE_OPTIONS });
  await client.connect();
  const types = new TypeCatalog(database);
  const parser = new PgoutputParser();
  const payloads = async (): Promise<readonly Buffer[]> => {
    const result = await client.query<{ data: Buffer }>(
      `select data from pg_logical_slot_get_binary_changes($1, null, null,
         'proto_version', '1', 'publication_names', 'wal_reader', 'messages', 'true')`,
      [slot],
    );
    return result.rows.map(({ data }) => data);
  };
  const messages = async (): Promise<readonly WalMessage[]> => {
    const parsed: WalMessage[] = [];
    for (const payload of await payloads()) {
      const message = parser.parse(payload);
      if (message.kind === "relation") await types.load(message.relation.columns);
      parsed.push(message);
    }
    return parsed;
  };
  const decode = (
    decoded: readonly WalMessage[],
    rules: RowRules,
    table?: string,
  ): readonly DecodedChange[] => {
    const encoders = new Map<Relation, RowEncoder>();
    return decoded.flatMap((message) => {
      if (message.kind !== "insert" && message.kind !== "update" && message.kind !== "delete") return [];
      const { relation, kind } = message;
      if (table !== undefined && relation.name !== table) return [];
      const encoder = encoders.get(relation) ?? new RowEncoder(relation, rules, types);
      encoders.set(relation, encoder);
      const row = kind === "delete" ? message.old : message.row;
      const old = kind === "update" ? message.old : undefined;
      return [
        {
          type: kind,
          tenant: encoder.tenant(row, old),
          id: encoder.documentId(row, old),
          text: encoder.document(row, old),
        },
      ];
    });
  };
  return {
    types,
    payloads,
    messages,
    decode,
    async changes(rules) {
      return decode(await messages(), rules);
    },
    async close() {
      await client.end();
      await database.query("select pg_drop_replication_slot($1)", [slot]);
    },
  };
}

/** As `server_version_num`. */
export async function fetchVersion(database: TestDatabase): Promise<number> {
  const result = await database.query<{ version: number }>(
    "select current_setting('server_version_num')::int as version",
  );
  return result.rows[0]?.version ?? 0;
}

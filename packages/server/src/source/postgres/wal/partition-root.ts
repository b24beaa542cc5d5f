import type { DatabasePool } from "../database-pool.ts";

/** The table at the top of a partition; undefined for what is none, or gone. */
export async function fetchPartitionRoot({ pool }: DatabasePool, oid: number): Promise<number | undefined> {
  const result = await pool.query<{ root: string | null }>(
    "select pg_catalog.pg_partition_root($1::oid)::oid::pg_catalog.int8 as root",
    [oid],
  );
  const root = Number(result.rows[0]?.root ?? oid);
  return root === oid ? undefined : root;
}

import { expect, it } from "vitest";
import type { CapturedTable } from "../table.ts";
import { WalWatches } from "./wal-watches.ts";

const tableOf = (collection: string, oid: number, partitions: readonly number[] = []): CapturedTable => ({
  collection,
  oid,
  name: { schema: "public", table: collection },
  tenantColumn: "tenant_id",
  primaryKey: ["id"],
  hidden: new Set(),
  virtualColumns: [],
  shape: collection,
  partitions,
  attachments: JSON.stringify(partitions),
  triggers: [],
});

const namesOn = (watches: WalWatches, relation: number) => watches.on(relation).map(({ name }) => name);

it("keeps partitions that the catalog was not yet read with, whatever comes and goes beside", () => {
  const watches = new WalWatches();
  watches.follow(tableOf("parted", 1, [2]), "0");
  watches.addPartition(1, 3);
  const other = watches.follow(tableOf("other", 9), "0");
  watches.drop(other);
  expect(namesOn(watches, 2)).toEqual(["parted"]);
  expect(namesOn(watches, 3)).toEqual(["parted"]);
  expect(namesOn(watches, 9)).toEqual([]);
});

it("forgets them when the table is read again: they may be detached", () => {
  const watches = new WalWatches();
  const parted = watches.follow(tableOf("parted", 1, [2]), "0");
  watches.addPartition(1, 3);
  watches.addPartition(1, 2);
  watches.update(parted, tableOf("parted", 1, [3]));
  expect(namesOn(watches, 2)).toEqual([]);
  expect(namesOn(watches, 3)).toEqual(["parted"]);
});

it("goes on with a collection that nobody watches any more", () => {
  const watches = new WalWatches();
  const key = { tenant: "a", collection: "todos" };
  watches.add(key, tableOf("todos", 1), "5");
  watches.remove(key);
  expect(watches.size).toBe(0);
  expect(watches.get("todos")).toMatchObject({ isWatched: false, since: "5" });
  watches.add(key, tableOf("todos", 1), "7");
  expect(watches.get("todos")).toMatchObject({ isWatched: true, since: "5" });
});

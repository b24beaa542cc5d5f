import { pino } from "pino";
import { describe, expect, it } from "vitest";
import type { CatalogReading, CatalogTable } from "./catalog-query.ts";
import { Catalog } from "./catalog.ts";
import { SourceDatabase } from "./database.ts";
import { NOTIFY_DEFAULTS } from "./settings.ts";

/** A database whose tables the test hands out, one reading after the other. */
class ReadingDatabase extends SourceDatabase {
  readonly readings: ((names: readonly string[] | undefined) => void)[] = [];

  constructor() {
    super("postgres://nowhere", "test", NOTIFY_DEFAULTS, pino({ level: "silent" }));
  }

  /** The revisions that were known at each reading. */
  readonly known: (string | undefined)[] = [];

  override async fetchCatalog(
    _columns: readonly string[],
    known: string | undefined,
  ): Promise<CatalogReading> {
    this.known.push(known);
    return new Promise((resolve) => {
      this.readings.push((names) => {
        const tables = names?.map((name, index) => table(name, index + 1));
        resolve({ revision: `revision ${String(this.readings.length)}`, tables });
      });
    });
  }
}

function table(name: string, oid: number): CatalogTable {
  return {
    oid,
    schema: "public",
    name,
    columns: { tenant_id: "2 25 -1" },
    primary_key: [["id", 23]],
    virtual_columns: null,
    partitions: null,
    triggers: null,
  };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("Catalog", () => {
  it("answers any number of calls by one reading that runs and one that waits, none older than its call", async () => {
    const database = new ReadingDatabase();
    const catalog = new Catalog(database, undefined);
    const first = catalog.refresh();
    const others = [catalog.refresh(), catalog.refresh(), catalog.refresh()];
    await turn();
    expect(database.readings).toHaveLength(1);
    database.readings[0]?.([]);
    expect((await first).tables.size).toBe(0);
    await turn();
    expect(database.readings).toHaveLength(2);
    database.readings[1]?.(["todos"]);
    for (const other of others) expect([...(await other).tables.keys()]).toEqual(["todos"]);
    void catalog.refresh();
    expect(database.readings).toHaveLength(3);
  });

  it("asks for what was committed since the last reading, and keeps what it has when there is nothing", async () => {
    const database = new ReadingDatabase();
    const catalog = new Catalog(database, undefined);
    const readOnce = async (names: readonly string[] | undefined) => {
      const reading = catalog.refresh();
      await turn();
      database.readings.at(-1)?.(names);
      return [...(await reading).tables.keys()];
    };
    expect(await readOnce(["todos"])).toEqual(["todos"]);
    const { current, infos } = catalog;
    expect(await readOnce(undefined)).toEqual(["todos"]);
    expect(catalog.current).toBe(current);
    expect(catalog.infos).toBe(infos);
    expect(catalog.revision).toBe("revision 2");
    expect(await readOnce(["todos", "notes"])).toEqual(["todos", "notes"]);
    expect(database.known).toEqual([undefined, "revision 1", "revision 2"]);
  });

  it("reads again for a recent answer only when the last one is too old, and keeps one list", async () => {
    const database = new ReadingDatabase();
    const catalog = new Catalog(database, undefined);
    const reading = catalog.recent(60_000);
    database.readings[0]?.(["todos"]);
    await reading;
    expect((await catalog.recent(60_000)).tables.has("todos")).toBe(true);
    expect(database.readings).toHaveLength(1);
    void catalog.recent(-1);
    expect(database.readings).toHaveLength(2);
    expect(catalog.infos).toEqual([{ name: "todos" }]);
    expect(catalog.infos).toBe(catalog.infos);
  });
});

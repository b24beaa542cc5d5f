import fc from "fast-check";
import type { AnyBulkWriteOperation } from "mongodb";
import { expect, it } from "vitest";
import { viewOf } from "../support/filtered-view.ts";
import { naiveMatch, rawFilters } from "../support/filters.ts";
import { createMongoDatabase } from "../support/mongo.ts";
import { openMongoSource, type TestDocument } from "../support/mongo-source.ts";
import { until } from "../support/until.ts";

const TENANTS = ["a", "b"];
const FENCE = 99;
const value = fc.constantFrom(0, 1, 2, "x", null);
const id = fc.integer({ min: 1, max: 4 });
const tenant = fc.constantFrom(...TENANTS);
type Write = AnyBulkWriteOperation<TestDocument>;

const replacement = fc.record({ tenantId: tenant, n: value, secret: value });
const write: fc.Arbitrary<Write> = fc.oneof(
  fc
    .tuple(id, replacement)
    .map(([_id, made]) => ({ replaceOne: { filter: { _id }, replacement: made, upsert: true } })),
  fc
    .tuple(id, fc.constantFrom("n", "secret"), value)
    .map(([_id, field, set]) => ({ updateOne: { filter: { _id }, update: { $set: { [field]: set } } } })),
  fc
    .tuple(id, tenant)
    .map(([_id, tenantId]) => ({ updateOne: { filter: { _id }, update: { $set: { tenantId } } } })),
  id.map((_id) => ({ deleteOne: { filter: { _id } } })),
);
const filters = (...paths: readonly string[]) =>
  rawFilters({
    paths: fc.constantFrom(...paths),
    values: value,
    bounds: fc.constantFrom<string | number>(0, 1, "x"),
  });
const viewers = fc.array(
  fc.record({ tenant, wanted: filters("n", "secret", "_id"), granted: filters("n", "secret") }),
  { minLength: 4, maxLength: 8 },
);

it("a filtered view of a random history is at its end what the filter leaves of the database's state (property)", async () => {
  const database = await createMongoDatabase();
  await database.createCollection("rows");
  const test = await openMongoSource({
    url: database.url,
    collections: { rows: { collection: "rows", hide: ["secret"] } },
  });
  const rows = database.db.collection<TestDocument>("rows");
  let fences = 0;
  /** A server without post-images looks documents up, so each event is awaited before the next write. */
  const settle = async (): Promise<void> => {
    fences += 1;
    const documents = TENANTS.map((owner, index) => ({ _id: FENCE + index, tenantId: owner, fences }));
    for (const { _id, ...fence } of documents) await rows.replaceOne({ _id }, fence, { upsert: true });
    await until(
      () => TENANTS.every((owner) => test.sink.changes(owner, "rows").at(-1)?.document["fences"] === fences),
      { describe: "the fences" },
    );
  };
  try {
    await test.source.needPrior("rows", new Set(["secret"]));
    for (const owner of TENANTS) await test.watch(owner, "rows");
    await fc.assert(
      fc.asyncProperty(fc.array(write, { minLength: 4, maxLength: 12 }), viewers, async (writes, asked) => {
        await rows.deleteMany({ _id: { $lt: FENCE } });
        await settle();
        const begin = test.sink.events.length;
        for (const one of writes) {
          await rows.bulkWrite([one]);
          await settle();
        }
        const events = test.sink.events
          .slice(begin)
          .filter(({ body }) => "documentId" in body && Number(body.documentId) < FENCE);
        const state = await rows.find({ _id: { $lt: FENCE } }).toArray();
        for (const viewer of asked) {
          const expected = state.flatMap((document) => {
            const whole = JSON.parse(JSON.stringify(document));
            const { secret: _, ...visible } = whole;
            const isGranted = document["tenantId"] === viewer.tenant && naiveMatch(viewer.granted, whole);
            return isGranted && naiveMatch(viewer.wanted, visible)
              ? [[String(document._id), visible] as const]
              : [];
          });
          expect(viewOf(events, viewer)).toEqual(new Map(expected));
        }
      }),
      { numRuns: Number(process.env["PROPERTY_RUNS"] ?? 6), endOnFailure: true },
    );
    expect(test.sink.resets).toEqual([]);
  } finally {
    await test.source.close();
    await database.drop();
  }
}, 240_000);

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCommandLine, type CommandResult } from "../support/command-line.ts";
import { createMongoDatabase, type TestMongoDatabase } from "../support/mongo.ts";
import { createDatabase, type TestDatabase } from "../support/postgres.ts";

let mongo: TestMongoDatabase;
let database: TestDatabase;

beforeAll(async () => {
  mongo = await createMongoDatabase();
  await mongo.createCollection("plain", false);
  await mongo.createCollection("watched", true);
  database = await createDatabase();
});

afterAll(async () => {
  await database?.drop();
  await mongo?.drop();
});

function run(args: readonly string[], mongodbUrl = mongo.url): Promise<CommandResult> {
  return runCommandLine(args, { env: { DATABASE_URL: database.url, MONGODB_URL: mongodbUrl } });
}

interface Diagnosis {
  readonly sources: readonly {
    readonly source: string;
    readonly findings: readonly { readonly level: string; readonly title: string }[];
  }[];
}

async function preImagesOf(name: string): Promise<unknown> {
  const [collection] = await mongo.db.listCollections({ name }, { nameOnly: false }).toArray();
  return collection?.options?.["changeStreamPreAndPostImages"];
}

describe("doctor", () => {
  it("looks at both sources", async () => {
    await mongo.insert("watched", { tenantId: "a" });
    const { code, stdout, stderr } = await run(["doctor", "--json"]);
    expect([code, stderr]).toEqual([0, ""]);
    const { sources }: Diagnosis = JSON.parse(stdout);
    expect(sources.map(({ source }) => source)).toEqual(["postgres", "mongodb"]);
    const titles = sources[1]?.findings.map(({ title }) => title) ?? [];
    expect(titles).toEqual(expect.arrayContaining([expect.stringMatching(/replica set/)]));
    expect(titles).toEqual(expect.arrayContaining([expect.stringMatching(/"watched" is a collection/)]));
  });

  it("says what is wrong with one that cannot be reached, and fails", async () => {
    const { code, stdout } = await run(["doctor"], "mongodb://user:hunter2@127.0.0.1:9/app");
    expect(code).toBe(1);
    expect(stdout).toMatch(/Source mongodb:\n {2}error .*127\.0\.0\.1:9/);
    expect(stdout).not.toContain("hunter2");
  });
});

describe("uninstall", () => {
  it("lists the collections with pre-images, and disables them only when asked", async () => {
    const kept = await run(["uninstall", "--yes"]);
    expect([kept.code, kept.stderr]).toEqual([0, ""]);
    expect(kept.stdout).toMatch(/Source mongodb: pre-images stay enabled on 1 collections \(watched\)/);
    expect(await preImagesOf("watched")).toEqual({ enabled: true });
    const disabled = await run(["uninstall", "--yes", "--pre-images"]);
    expect(disabled.stdout).toMatch(/Source mongodb: disabled the pre-images of 1 collections \(watched\)/);
    expect(await preImagesOf("watched")).not.toEqual({ enabled: true });
    expect((await run(["uninstall", "--yes"])).stdout).toMatch(/Source mongodb: nothing to remove/);
  });
});

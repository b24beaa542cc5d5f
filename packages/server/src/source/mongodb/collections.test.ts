import { describe, expect, it } from "vitest";
import { toCollections, type ListedCollection } from "./collections.ts";
import { databaseOf } from "./database-name.ts";
import { changePipeline } from "./pipeline.ts";

const listed = (name: string, type = "collection"): ListedCollection => ({
  name,
  type,
  uuid: name,
  hasImages: false,
});

describe("toCollections", () => {
  const all = [listed("todos"), listed("system.views"), listed("open", "view"), listed("load", "timeseries")];

  it("takes every ordinary collection by its own name", () => {
    const { usable, unusable } = toCollections(all, undefined);
    expect([...usable.keys()]).toEqual(["todos"]);
    expect(usable.get("todos")).toMatchObject({ collection: "todos", tenantField: "tenantId" });
    expect([...unusable.keys()]).toEqual(["open", "load"]);
    expect(unusable.get("load")).toMatch(/"load" is a time series/);
  });

  it("takes those that are configured, and only those", () => {
    const { usable, unusable } = toCollections(all, {
      tasks: { collection: "todos", tenantField: "org.id", hide: ["secret"] },
      gone: { collection: "nowhere" },
    });
    expect([...usable.keys()]).toEqual(["tasks"]);
    expect(usable.get("tasks")).toMatchObject({ collection: "todos", tenantField: "org.id" });
    expect(unusable.get("gone")).toMatch(/"nowhere" of collection "gone" does not exist/);
  });
});

describe("changePipeline", () => {
  const { usable } = toCollections([listed("todos")], {
    todos: {
      collection: "todos",
      tenantField: "org.id",
      hide: ["secret", "secret.inner", "org", "org.name", "_id"],
    },
  });
  const collection = usable.get("todos");
  const modern = { images: true, splitsLargeEvents: true };

  it("hides what it does not need itself, and splits last", () => {
    if (collection === undefined) throw new Error("There is no collection.");
    const pipeline = changePipeline(collection, ["a"], modern, false);
    expect(pipeline.map((stage) => Object.keys(stage)[0])).toEqual([
      "$match",
      "$project",
      "$project",
      "$changeStreamSplitLargeEvent",
    ]);
    expect(pipeline[2]).toEqual({
      $project: {
        "fullDocument.secret": 0,
        "fullDocumentBeforeChange.secret": 0,
        "fullDocument.org.name": 0,
        "fullDocumentBeforeChange.org.name": 0,
      },
    });
  });

  it("hides nothing from filters that need it", () => {
    if (collection === undefined) throw new Error("There is no collection.");
    const pipeline = changePipeline(collection, ["a"], modern, true);
    expect(pipeline.map((stage) => Object.keys(stage)[0])).toEqual([
      "$match",
      "$project",
      "$changeStreamSplitLargeEvent",
    ]);
  });

  it("asks for the changes of all tenants where they are too many", () => {
    if (collection === undefined) throw new Error("There is no collection.");
    const pipeline = changePipeline({ ...collection, hidden: new Set() }, "all", modern, false);
    expect(pipeline.map((stage) => Object.keys(stage)[0])).toEqual([
      "$project",
      "$changeStreamSplitLargeEvent",
    ]);
  });

  it("leaves out stages that the server does not have", () => {
    if (collection === undefined) throw new Error("There is no collection.");
    const old = { images: false, splitsLargeEvents: false };
    const pipeline = changePipeline({ ...collection, hidden: new Set() }, [], old, false);
    expect(pipeline.map((stage) => Object.keys(stage)[0])).toEqual(["$match", "$project"]);
  });
});

describe("databaseOf", () => {
  it.each([
    ["mongodb://host/app", "app"],
    ["mongodb://u:p@a:1,b:2/my%20app?replicaSet=rs0", "my app"],
    ["mongodb+srv://cluster.example.com/app", "app"],
    ["mongodb://host", undefined],
    ["mongodb://host/", undefined],
    ["mongodb://host/?directConnection=true", undefined],
  ])("of %s is %s", (url, name) => {
    expect(databaseOf(url)).toBe(name);
  });
});

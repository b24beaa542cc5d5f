import { expect, it } from "vitest";
import { stageTimes } from "./profile-stages.ts";

const STAGES = [
  { title: "decoding", files: /\/source\// },
  { title: "Node", files: /^node:/ },
];

function nodeOf(id: number, functionName: string, url: string, children: readonly number[] = []) {
  return { id, callFrame: { functionName, url }, children };
}

const NODES = [
  nodeOf(1, "(root)", "", [2, 6, 7, 8]),
  nodeOf(2, "parse", "file:///server/source/parser.js", [3, 4]),
  nodeOf(3, "latin1Slice", ""),
  nodeOf(4, "write", "node:net", [5]),
  nodeOf(5, "writeBuffer", ""),
  nodeOf(6, "(idle)", ""),
  nodeOf(7, "(garbage collector)", ""),
  nodeOf(8, "main", "file:///server/main.js"),
];

it("puts native time on the account of who calls, and leaves idle time out", () => {
  const profile = {
    nodes: NODES,
    samples: [2, 3, 4, 5, 6, 7, 8],
    timeDeltas: [10, 20, 30, 40, 50, 60, 70],
    startTime: 0,
  };
  expect(Object.fromEntries(stageTimes(profile, STAGES, { fromMs: 0, toMs: 1 }))).toEqual({
    decoding: 30,
    Node: 30,
    "socket writes": 40,
    "garbage collection": 60,
    "anything else": 70,
  });
});

it("looks at a part of the profile only", () => {
  const profile = { nodes: NODES, samples: [2, 2, 2], timeDeltas: [1_000, 1_000, 1_000], startTime: 5_000 };
  expect([...stageTimes(profile, STAGES, { fromMs: 6.5, toMs: 7.5 })]).toEqual([["decoding", 1_000]]);
});

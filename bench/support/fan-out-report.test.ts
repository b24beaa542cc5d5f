import { expect, it } from "vitest";
import type { FanOutSample } from "./fan-out-contestant.ts";
import { FanOutFigures, type FanOutCell } from "./fan-out-figures.ts";
import { renderFanOut } from "./fan-out-report.ts";

const STEADY: FanOutCell = { load: "steady", connections: 1000 };
const BURST: FanOutCell = { load: "burst", connections: 1000 };

function sample(cpuMicroseconds: number, lost = 0): FanOutSample {
  return {
    cpuSeconds: (cpuMicroseconds * (1000 - lost)) / 1e6,
    expected: 1000,
    delivered: 1000 - lost,
    lost,
    outOfOrder: 0,
    disconnected: 0,
    seconds: 0.5,
    bytes: 400_000,
    reads: 500,
    latency: { p50Ms: 1, p99Ms: 2, p999Ms: 3, maxMs: 4 },
  };
}

it("holds each server against the floor and ours of its transport, round by round", () => {
  const figures = new FanOutFigures();
  const titles = ["PaperDB Realtime, SSE", "floor (C), SSE", "Other, SSE"];
  const [ours = "", floor = "", other = ""] = titles;
  for (const slowness of [1, 10, 3]) {
    figures.add(floor, STEADY, sample(5 * slowness));
    figures.add(ours, STEADY, sample(7 * slowness));
    figures.add(ours, BURST, sample(0.2));
    figures.add(floor, BURST, sample(0.1));
  }
  figures.add(other, STEADY, sample(21, 250));
  const scope = { connections: [1000], titles, rounds: 3, otherRounds: 1, notes: ["Something is missing."] };
  const { table, notes, chart } = renderFanOut(figures, scope);
  expect(table.head).toEqual(["CPU per delivery", "steady, 1,000", "burst, 1,000"]);
  expect(table.rows).toEqual([
    [ours, "21.0 µs (1.40×)", "0.200 µs (2.00×)"],
    [floor, "15.0 µs", "0.100 µs"],
    [other, "21.0 µs (4.20×)", "–"],
  ]);
  const text = notes.join("\n");
  expect(text).toMatch(/\| Other, SSE +\| +3\.00× +\| +– \|/);
  expect(text).toMatch(/\| Other, SSE +\| +1\.00 \/ 2\.00 \/ 3\.00 ms +\| +– \| +25\.0 % \|/);
  expect(text).toContain("2,000/s");
  expect(text).toContain("steady load: 1.5 to 2.0");
  expect(text).toContain("Something is missing.");
  expect(chart?.svg).toContain("Other, SSE");
});

import { expect, it } from "vitest";
import { renderBarChart, type Bar } from "./chart.ts";

function bars(values: readonly number[]): Bar[] {
  return values.map((value, index) => ({ label: `s${index}`, value, text: `${value} µs`, kind: "other" }));
}

function widthsOf(svg: string): number[] {
  return [...svg.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map(([, width]) => Number(width));
}

it("draws bars in proportion, each panel on a scale of its own", () => {
  const svg = renderBarChart("t", [
    { title: "one", bars: bars([1, 2, 4]) },
    { title: "two", bars: bars([100, 50]) },
  ]);
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = widthsOf(svg);
  expect(b / a).toBeCloseTo(2, 1);
  expect(c / a).toBeCloseTo(4, 1);
  expect(d).toBe(c);
  expect(e).toBeCloseTo(d / 2, 1);
  expect(svg).not.toContain("logarithmic");
});

it("goes over to a logarithmic scale where a linear one would hide the small ones", () => {
  const svg = renderBarChart("t", [{ title: "one", bars: bars([0.1, 1, 10]) }]);
  const [a = 0, b = 0, c = 0] = widthsOf(svg);
  expect(c - b).toBeCloseTo(b - a, 0);
  expect(a).toBeGreaterThan(0);
  expect(svg).toContain("logarithmic");
});

it("escapes names, and is tall enough for all bars", () => {
  const [bar] = bars([1]);
  if (bar === undefined) expect.fail();
  const svg = renderBarChart('<&">', [{ title: "p", bars: [{ ...bar, label: "a<b" }, bar, bar] }]);
  expect(svg).toContain("<title>&lt;&amp;&quot;></title>");
  expect(svg).toContain("a&lt;b");
  const height = Number(/ height="(\d+)"/.exec(svg)?.[1]);
  const lowest = Math.max(...[...svg.matchAll(/ y="([\d.]+)"/g)].map(([, y]) => Number(y)));
  expect(height).toBeGreaterThan(lowest + 18);
});

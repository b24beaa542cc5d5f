import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ERRORS } from "@paperdb/protocol";
import { expect, test } from "vitest";
import { Metrics } from "./telemetry/metrics.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const DOCS = readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md"));
const PAGES = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "packages/protocol/README.md",
  "packages/server/README.md",
  "packages/paperdb/README.md",
  "examples/chat/README.md",
  ...DOCS.map((name) => `docs/${name}`),
];

test("docs/errors.md lists the table of errors, row for row", () => {
  const documented = tableRows(read("docs/errors.md"), "Code").map(([code, status, retryable, title]) => [
    code,
    status,
    retryable,
    title,
  ]);
  const defined = Object.entries(ERRORS).map(([code, { status, retryable, title }]) => [
    `\`${code}\``,
    String(status),
    retryable ? "yes" : "no",
    title,
  ]);
  expect(documented).toEqual(defined);
});

test("docs/errors.md says for every code what to do", () => {
  const advice = tableRows(read("docs/errors.md"), "Code").map((row) => row[4] ?? "");
  expect(advice.filter((text) => !/^[A-Z].*\.$/.test(text))).toEqual([]);
});

test("docs/operations.md lists the metrics that there are", async () => {
  const none = (): number => 0;
  const metrics = new Metrics({
    connections: none,
    subscriptions: none,
    channels: none,
    historyEvents: none,
    historyBytes: none,
    snapshots: () => ({ reading: 0, waiting: 0, bytes: 0 }),
    sources: () => [],
  });
  const defined = (await metrics.registry.getMetricsAsJSON())
    .map(({ name }) => name)
    .filter((name) => name.startsWith("paperdb_"));
  const documented = tableRows(read("docs/operations.md"), "Metric").map(([name]) => name);
  expect(documented.toSorted()).toEqual(defined.map((name) => `\`${name}\``).toSorted());
});

test.each(PAGES)("the links of %s resolve", (page) => {
  expect(linksOf(read(page)).filter((link) => !resolves(page, link))).toEqual([]);
});

test.each(PAGES)("%s names every page of docs/ that it means by its name", (page) => {
  const named = [...read(page).matchAll(/`docs\/([a-z0-9-]+\.md)`/g)].map(([, name]) => name ?? "");
  expect(named.filter((name) => !DOCS.includes(name))).toEqual([]);
});

test("the README links to every page of docs/", () => {
  const linked = new Set(linksOf(read("README.md")));
  expect(DOCS.filter((name) => !linked.has(`docs/${name}`))).toEqual([]);
});

function read(page: string): string {
  return readFileSync(join(ROOT, page), "utf8");
}

/** The cells of the table whose first heading is `firstHeading`, without its two heading lines. */
function tableRows(markdown: string, firstHeading: string): string[][] {
  const lines = markdown.split("\n");
  const start = lines.findIndex((line) => new RegExp(`^\\| ${firstHeading} +\\|`).test(line));
  if (start === -1) throw new Error(`there is no table with the heading ${firstHeading}`);
  const length = lines.slice(start).findIndex((line) => !line.startsWith("|"));
  return lines.slice(start + 2, start + length).map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

/** Targets of links and pictures, those in code left out. */
function linksOf(markdown: string): string[] {
  const prose = markdown.replaceAll(/```[\s\S]*?```/g, "").replaceAll(/`[^`\n]*`/g, "code");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target ?? "");
}

function resolves(page: string, link: string): boolean {
  if (/^https?:/.test(link)) return URL.canParse(link);
  const [path = "", anchor] = link.split("#", 2);
  const target = path === "" ? join(ROOT, page) : resolve(ROOT, dirname(page), path);
  if (!existsSync(target)) return false;
  return anchor === undefined || anchorsOf(readFileSync(target, "utf8")).has(anchor);
}

/** The anchors that a renderer makes of headings. */
function anchorsOf(markdown: string): Set<string> {
  const headings = markdown.replaceAll(/```[\s\S]*?```/g, "").matchAll(/^#{1,6} +(.+)$/gm);
  return new Set(
    Array.from(headings, ([, heading]) =>
      (heading ?? "")
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
        .trim()
        .replaceAll(" ", "-"),
    ),
  );
}

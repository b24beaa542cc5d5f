import type { BenchmarkReport, Chart } from "../benchmark.ts";
import { renderBarChart, type Bar, type Panel } from "./chart.ts";
import { EVENT_DATA_BYTES } from "./fan-out-event.ts";
import type { FanOutCell, FanOutFigures, FanOutLoad } from "./fan-out-figures.ts";
import { figure, mediansOf, ratioText, renderTable, type Table } from "./markdown-table.ts";

/** What was measured. */
export interface FanOutScope {
  readonly connections: readonly number[];
  /** Of the servers. */
  readonly titles: readonly string[];
  readonly rounds: number;
  readonly otherRounds: number;
  /** Sentences on what is missing. */
  readonly notes: readonly string[];
}

const LOADS: readonly FanOutLoad[] = ["steady", "burst"];
const OURS = "PaperDB Realtime";
const RULER = "floor";

/** Puts the figures into tables and a chart. */
export function renderFanOut(figures: FanOutFigures, scope: FanOutScope): BenchmarkReport {
  const cells = LOADS.flatMap((load) => scope.connections.map((connections) => ({ load, connections })));
  const rivals = scope.titles.filter((title) => !title.startsWith(OURS) && !title.startsWith(RULER));
  return {
    table: cpuTable(figures, scope.titles, cells),
    notes: [
      howMeasured(scope),
      ...(rivals.length === 0
        ? []
        : [
            "CPU per delivery as a multiple of ours over the same transport:",
            renderTable(rivalTable(figures, rivals, cells)),
          ]),
      "Latency, from the write of a publish until the event was read, p50 / p99 / p99.9; in bursts, deliveries per second:",
      renderTable(latencyTable(figures, scope.titles, cells)),
      coalescedNote(figures, scope.titles, cells),
      ...scope.notes,
    ],
    chart: chartOf(figures, scope),
  };
}

function cpuTable(figures: FanOutFigures, titles: readonly string[], cells: readonly FanOutCell[]): Table {
  return {
    head: ["CPU per delivery", ...cells.map(headOf)],
    rows: titles.map((title) => [
      title,
      ...cells.map((cell) => {
        if (!figures.has(title, cell)) return "–";
        const cpu = `${figure(figures.cpuMicroseconds(title, cell))} µs`;
        const floor = sameTransport(title, titles, RULER);
        return title === floor ? cpu : `${cpu} (${ratioText(figures.cpuRatio(title, floor, cell))})`;
      }),
    ]),
  };
}

function rivalTable(figures: FanOutFigures, rivals: readonly string[], cells: readonly FanOutCell[]): Table {
  return {
    head: ["", ...cells.map(headOf)],
    rows: rivals.map((title) => [
      title,
      ...cells.map((cell) => {
        const ours = `${OURS}, ${transportOf(title)}`;
        return figures.has(title, cell) ? ratioText(figures.cpuRatio(title, ours, cell)) : "–";
      }),
    ]),
  };
}

function latencyTable(
  figures: FanOutFigures,
  titles: readonly string[],
  cells: readonly FanOutCell[],
): Table {
  return {
    head: ["", ...cells.map(headOf), "lost"],
    rows: titles.map((title) => [
      title,
      ...cells.map((cell) => (figures.has(title, cell) ? speedOf(figures, title, cell) : "–")),
      lostOf(figures, title, cells),
    ]),
  };
}

function speedOf(figures: FanOutFigures, title: string, cell: FanOutCell): string {
  if (cell.load === "burst") return `${figure(figures.median(title, cell, "deliveriesPerSecond"))}/s`;
  const latencies = (["p50Ms", "p99Ms", "p999Ms"] as const).map((name) =>
    figure(figures.median(title, cell, name)),
  );
  return `${latencies.join(" / ")} ms`;
}

function lostOf(figures: FanOutFigures, title: string, cells: readonly FanOutCell[]): string {
  const measured = cells.filter((cell) => figures.has(title, cell));
  const share = Math.max(0, ...measured.map((cell) => figures.median(title, cell, "lostShare")));
  return share === 0 ? "0" : `${figure(share * 100)} %`;
}

/** Shows whether the machine was quiet enough for a steady load to be one. */
function coalescedNote(
  figures: FanOutFigures,
  titles: readonly string[],
  cells: readonly FanOutCell[],
): string {
  const counts = titles.flatMap((title) =>
    cells
      .filter((cell) => cell.load === "steady" && figures.has(title, cell))
      .map((cell) => figures.median(title, cell, "eventsPerRead")),
  );
  return `Events per read of a client under the steady load: ${Math.min(...counts).toFixed(1)} to ${Math.max(...counts).toFixed(1)}.`;
}

function chartOf(figures: FanOutFigures, { connections, titles }: FanOutScope): Chart {
  const shown = connections.slice(-1);
  const panels: Panel[] = LOADS.flatMap((load) =>
    shown.map((count) => {
      const cell = { load, connections: count };
      const measured = titles.filter((title) => figures.has(title, cell));
      return {
        title: `${load === "steady" ? "Steady" : "Bursts"}, ${count.toLocaleString("en-US")} connections`,
        bars: measured.map((title) => barOf(title, figures.cpuMicroseconds(title, cell))),
      };
    }),
  );
  const title = "Server CPU time per delivered event (less is better)";
  const alt = `${title}: bars for each server, steady and in bursts. The figures are those of the table.`;
  return { name: "fan-out", alt, svg: renderBarChart(title, panels) };
}

function barOf(title: string, value: number): Bar {
  const kind = title.startsWith(OURS) ? "ours" : title.startsWith(RULER) ? "ruler" : "other";
  return { label: title.replaceAll("`", ""), value, text: `${figure(value)} µs`, kind };
}

function headOf({ load, connections }: FanOutCell): string {
  return `${load}, ${connections.toLocaleString("en-US")}`;
}

function transportOf(title: string): string {
  return title.slice(title.lastIndexOf(", ") + 2);
}

/** The title of ours or of the floor over the transport of another title. */
function sameTransport(title: string, titles: readonly string[], start: string): string {
  const found = titles.find((each) => each.startsWith(start) && transportOf(each) === transportOf(title));
  return found ?? title;
}

function howMeasured({ rounds, otherRounds }: FanOutScope): string {
  return (
    `CPU time of the server's processes, user and system, per delivered event, publishing included; in brackets, as a multiple of the floor's. ` +
    `Events with ${EVENT_DATA_BYTES} bytes of data, published on one connection. *Steady*: 50,000 deliveries per second in total, so 500, 50 and 5 events ` +
    "per second for 100, 1,000 and 10,000 connections. *Burst*: 200 events at once, and again when all have them. Ours includes keys or tokens, cursors " +
    "and event ids, as it does in production; the others are at their recommended settings, without authentication. The *floor* is an epoll loop on bare " +
    "sockets, without HTTP, that writes as many bytes per event as ours does, by the same rule: whatever lies between a socket's place and the head, in " +
    "one write. Servers are bound to one core, clients to another; all take turns under the same load, and are warm. " +
    `Ours and the floor: ${mediansOf(rounds, { ratios: true })}; the others: ${mediansOf(otherRounds, { ratios: true })}. Every connection of ours and of the floor ` +
    "got every event, once, in order; the benchmark fails otherwise."
  );
}

/** A bar and what stands at its end. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  /** The figure as text, with its unit. */
  readonly text: string;
  readonly kind: "ours" | "ruler" | "other";
}

/** Bars that are compared with each other, on one scale. */
export interface Panel {
  readonly title: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 760;
const MARGIN = 16;
const LABEL_WIDTH = 250;
const VALUE_WIDTH = 90;
const BAR_HEIGHT = 18;
const BAR_PITCH = 24;
const TITLE_HEIGHT = 30;
const PANEL_HEAD = 34;
const PANEL_GAP = 14;
const MIN_BAR_WIDTH = 2;
/** Beyond this ratio between the values of a panel, small ones cannot be told apart on a linear scale. */
const MAX_LINEAR_RATIO = 20;

const STYLE = `
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .panel { font-weight: 600; }
  .scale { fill: #59636e; font-size: 12px; }
  .ours { fill: #1f883d; }
  .ruler { fill: #818b98; }
  .other { fill: #54aeff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .scale { fill: #9198a1; }
    .ours { fill: #3fb950; }
    .ruler { fill: #656c76; }
    .other { fill: #1f6feb; }
  }
`;

/** Horizontal bars as SVG, in colours for light and dark pages. Values must be above zero. */
export function renderBarChart(title: string, panels: readonly Panel[]): string {
  let y = MARGIN + TITLE_HEIGHT;
  const drawn = panels.map((panel) => {
    const top = y;
    y += PANEL_HEAD + panel.bars.length * BAR_PITCH + PANEL_GAP;
    return renderPanel(panel, top);
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" role="img">`,
    `<title>${escape(title)}</title>`,
    `<style>${STYLE}</style>`,
    `<text class="title" x="${MARGIN}" y="${MARGIN + 14}">${escape(title)}</text>`,
    ...drawn.flat(),
    "</svg>",
    "",
  ].join("\n");
}

function renderPanel({ title, bars }: Panel, top: number): string[] {
  const values = bars.map(({ value }) => value);
  const isLog = Math.max(...values) / Math.min(...values) > MAX_LINEAR_RATIO;
  const scale = isLog ? logScale(values) : linearScale(values);
  const note = isLog ? " (logarithmic scale)" : "";
  const head = `<text class="panel" x="${MARGIN}" y="${top + 18}">${escape(title)}<tspan class="scale">${note}</tspan></text>`;
  const rows = bars.map(({ label, value, text, kind }, index) => {
    const y = top + PANEL_HEAD + index * BAR_PITCH;
    const x = MARGIN + LABEL_WIDTH;
    const width = Math.max(MIN_BAR_WIDTH, scale(value)).toFixed(1);
    const middle = y + BAR_HEIGHT - 5;
    return [
      `<text x="${x - 8}" y="${middle}" text-anchor="end">${escape(label)}</text>`,
      `<rect class="${kind}" x="${x}" y="${y}" width="${width}" height="${BAR_HEIGHT}" rx="2"/>`,
      `<text x="${(x + Number(width) + 6).toFixed(1)}" y="${middle}">${escape(text)}</text>`,
    ].join("");
  });
  return [head, ...rows];
}

const BAR_WIDTH = WIDTH - 2 * MARGIN - LABEL_WIDTH - VALUE_WIDTH;

function linearScale(values: readonly number[]): (value: number) => number {
  const max = Math.max(...values);
  return (value) => (value / max) * BAR_WIDTH;
}

/** From the power of ten below the smallest value. */
function logScale(values: readonly number[]): (value: number) => number {
  const from = Math.floor(Math.log10(Math.min(...values)) - 0.1);
  const to = Math.log10(Math.max(...values));
  return (value) => ((Math.log10(value) - from) / (to - from)) * BAR_WIDTH;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

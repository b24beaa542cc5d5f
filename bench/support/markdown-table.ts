/** A table; the first column is text, the others are figures. */
export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Markdown, with the figures right-aligned. */
export function renderTable({ head, rows }: Table): string {
  const widths = head.map((title, column) =>
    Math.max(3, ...[title, ...rows.map((row) => row[column] ?? "")].map(({ length }) => length)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => pad(cell, widths[column] ?? 0, column > 0)).join(" | ")} |`;
  const rule = widths.map((width, column) =>
    column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
  );
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}

/** Three significant digits, without an exponent: `1234`, `12.3`, `0.123`. */
export function figure(value: number): string {
  if (value === 0) return "0";
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  const text = value.toFixed(Math.min(decimals, 6));
  return decimals === 0 ? Math.round(value).toLocaleString("en-US") : text;
}

/** Such as `1.25×`. */
export function ratioText(value: number): string {
  return `${value.toFixed(2)}×`;
}

/** How figures of rounds are told: `medians of 3 rounds and of the rounds' ratios`, or `one round`. */
export function mediansOf(rounds: number, { ratios = false }: { readonly ratios?: boolean } = {}): string {
  if (rounds === 1) return "one round";
  return `medians of ${rounds} rounds${ratios ? " and of the rounds' ratios" : ""}`;
}

function pad(cell: string, width: number, toTheRight: boolean): string {
  return toTheRight ? cell.padStart(width) : cell.padEnd(width);
}

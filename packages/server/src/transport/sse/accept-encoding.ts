const WEIGHT = /^q=(\d(?:\.\d{1,3})?)$/i;

/** Whether the client reads gzip, and likes it no less than plain text (RFC 9110, section 12.5.3). */
export function acceptsGzip(header: string | readonly string[] | undefined): boolean {
  const weights = new Map<string, number>();
  for (const item of String(header ?? "").split(",")) {
    const [name = "", ...parameters] = item.split(";").map((part) => part.trim().toLowerCase());
    weights.set(name, weightOf(parameters));
  }
  const gzip = weights.get("gzip") ?? weights.get("x-gzip") ?? weights.get("*") ?? 0;
  return gzip > 0 && gzip >= (weights.get("identity") ?? 0);
}

function weightOf(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    const weight = WEIGHT.exec(parameter)?.[1];
    if (weight !== undefined) return Number(weight);
  }
  return 1;
}

/** Whether JavaScript keeps a decimal exactly: only then it is delivered as a number. */
export function isExact(decimal: string): boolean {
  if (/^-?\d+$/.test(decimal)) return Number.isSafeInteger(Number(decimal));
  return normalForm(decimal) === normalForm(String(Number(decimal)));
}

/** The digits without zeros at both ends, and the power of ten of the last. */
function normalForm(decimal: string): string {
  const [, sign = "", whole = "", fraction = "", power = "0"] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(decimal) ?? [];
  const digits = (whole + fraction).replace(/^0+/, "");
  const kept = digits.replace(/0+$/, "");
  if (kept === "") return "0";
  return `${sign}${kept}e${String(Number(power) - fraction.length + digits.length - kept.length)}`;
}

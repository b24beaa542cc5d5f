/**
 * Whether a JSON number token keeps its exact value in a reader whose numbers are
 * doubles: an integer when it is a safe integer; with a fraction or an exponent when it
 * is the same decimal value as the shortest decimal of its double (`12.50` is,
 * `0.1000000000000000055` is not).
 */
export function isExactNumber(token: string): boolean {
  const value = Number(token);
  if (isIntegerToken(token)) return Number.isSafeInteger(value);
  if (!Number.isFinite(value)) return false;
  const shortest = String(value);
  return token === shortest || canonicalDecimal(token) === canonicalDecimal(shortest);
}

function isIntegerToken(token: string): boolean {
  for (let index = 0; index < token.length; index++) {
    const code = token.charCodeAt(index);
    if (code !== MINUS && (code < ZERO || code > NINE)) return false;
  }
  return true;
}

const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;

/** The same text for all spellings of one decimal value: its digits and its power of ten. */
function canonicalDecimal(token: string): string {
  const exponentAt = token.search(/[eE]/);
  const mantissa = exponentAt === -1 ? token : token.slice(0, exponentAt);
  const pointAt = mantissa.indexOf(".");
  const fractionLength = pointAt === -1 ? 0 : mantissa.length - pointAt - 1;
  const digits = mantissa.replace("-", "").replace(".", "");
  let start = 0;
  while (start < digits.length && digits.charCodeAt(start) === ZERO) start++;
  let end = digits.length;
  while (end > start && digits.charCodeAt(end - 1) === ZERO) end--;
  if (start === end) return "0";
  const exponent = exponentAt === -1 ? 0 : Number(token.slice(exponentAt + 1));
  const sign = mantissa.startsWith("-") ? "-" : "";
  return `${sign}${digits.slice(start, end)}e${String(exponent - fractionLength + digits.length - end)}`;
}

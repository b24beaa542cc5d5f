/** A string with what follows it, or one of the characters that give JSON its structure. */
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;

type Container = { readonly keys: Set<string> | undefined; step: string | number };

/**
 * The path of the first key that occurs twice in one object, which `JSON.parse`
 * silently takes the last of.
 *
 * @param text - must be valid JSON.
 */
export function findDuplicateKey(text: string): readonly (string | number)[] | undefined {
  const open: Container[] = [];
  let previous = "";
  for (const [token] of text.matchAll(TOKENS)) {
    const innermost = open.at(-1);
    if (token === "{") open.push({ keys: new Set(), step: "" });
    else if (token === "[") open.push({ keys: undefined, step: 0 });
    else if (token === "}" || token === "]") open.pop();
    else if (token === "," && typeof innermost?.step === "number") innermost.step += 1;
    else if (token === ":" && innermost?.keys !== undefined) {
      innermost.step = String(JSON.parse(previous));
      if (innermost.keys.has(innermost.step)) return open.map((container) => container.step);
      innermost.keys.add(innermost.step);
    }
    previous = token;
  }
  return undefined;
}

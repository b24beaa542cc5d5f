import { existsSync, readFileSync } from "node:fs";

const knownPaths: readonly string[] = JSON.parse(
  readFileSync(new URL("chromium-paths.json", import.meta.url), "utf8"),
);

/**
 * The Chromium to test with: `CHROMIUM_BIN`, else the first of the known places.
 *
 * @throws when there is none; `npm test` installs it where it can.
 */
export function findChromium(): string {
  const path = process.env["CHROMIUM_BIN"] ?? knownPaths.find((candidate) => existsSync(candidate));
  if (path === undefined) {
    throw new Error("No Chromium found: install it, or set CHROMIUM_BIN to its path.");
  }
  return path;
}

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

const DEBIAN_ROOT = "/usr/lib/postgresql";

/** The folder with Debian's PostgreSQL binaries of a major version, where that is installed. */
export function findDebianPostgres(major: number): string | undefined {
  if (!existsSync(DEBIAN_ROOT)) return undefined;
  const version = readdirSync(DEBIAN_ROOT).find((name) => name === String(major));
  if (version === undefined) return undefined;
  const binDir = join(DEBIAN_ROOT, version, "bin");
  return existsSync(join(binDir, "postgres")) ? binDir : undefined;
}

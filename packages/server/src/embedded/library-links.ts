import { readFile, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { RealtimeError } from "@paperdb/protocol";
import { errorCode } from "../data-dir/error-code.ts";

interface LibraryLink {
  /** What is linked to, relative to the package's folder. */
  readonly source: string;
  /** Where the link lies, relative to the package's folder. */
  readonly target: string;
}

/**
 * Creates the links between PostgreSQL's libraries that npm packages cannot
 * hold. The package's own install script does the same, but an install with
 * `--ignore-scripts` leaves them out. Links that exist are left alone.
 */
export async function createLibraryLinks(packageFolder: string): Promise<void> {
  const list = await readFile(join(packageFolder, "native", "pg-symlinks.json"), "utf8").catch(() => "[]");
  const links: LibraryLink[] = JSON.parse(list);
  for (const { source, target } of links) {
    try {
      await symlink(relative(dirname(target), source), join(packageFolder, target));
    } catch (error) {
      if (errorCode(error) === "EEXIST") continue;
      throw new RealtimeError(
        "source_unavailable",
        `The embedded PostgreSQL lacks library links and ${packageFolder} is not writable: install without --ignore-scripts, or set DATABASE_URL.`,
        { cause: error },
      );
    }
  }
}

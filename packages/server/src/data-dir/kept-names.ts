import { randomBytes } from "node:crypto";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errorCode } from "./error-code.ts";
import { ensureDataDir } from "./secrets.ts";

/** A few names that outlive the process. */
export interface KeptNames {
  /** @throws {Error} the file cannot be read, or holds something else. */
  fetch(): Promise<readonly string[]>;
  /** Replaces them, whole or not at all. */
  keep(names: readonly string[]): Promise<void>;
}

/** Names in a file of the data folder. */
export function keptNames(dataDir: string, fileName: string): KeptNames {
  const path = join(dataDir, fileName);
  return {
    async fetch() {
      try {
        const names: unknown = JSON.parse(await readFile(path, "utf8"));
        if (Array.isArray(names) && names.every((name) => typeof name === "string")) return names;
      } catch (error) {
        if (errorCode(error) === "ENOENT") return [];
        throw error;
      }
      throw new Error(`${fileName} in the data folder is no list of names.`);
    },
    async keep(names) {
      await ensureDataDir(dataDir);
      const draft = `${path}.${randomBytes(6).toString("hex")}.new`;
      try {
        await writeFile(draft, JSON.stringify(names), { mode: 0o600, flush: true });
        await rename(draft, path);
      } finally {
        await rm(draft, { force: true });
      }
    },
  };
}

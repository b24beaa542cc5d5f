import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder for one server's configuration, gone with it. */
export interface ConfigFolder {
  readonly path: string;
  readonly file: string;
  remove(): Promise<void>;
}

/** Writes the configuration into a new folder in the temporary one. */
export async function writeConfig(name: string, text: string): Promise<ConfigFolder> {
  const path = await mkdtemp(join(tmpdir(), "paperdb-bench-peer-"));
  const file = join(path, name);
  await writeFile(file, text);
  return { path, file, remove: () => rm(path, { recursive: true, force: true }) };
}

import { chmod, cp, lstat, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { RealtimeError } from "@paperdb/protocol";
import type { Account } from "./account.ts";
import { runProgram } from "./run-program.ts";

const COPY_PREFIX = "paperdb-postgres-";

/** Binaries that the account can run. */
export interface ReachableBinaries {
  readonly binDir: string;
  /** Removes a copy that was made; to be called once PostgreSQL has ended. */
  remove(): Promise<void>;
}

/**
 * The binaries as the account can reach them: where they are, else a copy in a
 * temporary folder, since a clone below a closed folder such as /root shuts
 * every other account out.
 *
 * @param memoFile - remembers the copy, for the next start to use.
 * @throws {RealtimeError} when they cannot be run at all.
 */
export async function makeReachable(
  binDir: string,
  account: Account | undefined,
  memoFile: string,
): Promise<ReachableBinaries> {
  const inPlace = await tryRun(binDir, account);
  if (inPlace.works) return { binDir, remove: async () => undefined };
  if (account === undefined) throw cannotRun(binDir, inPlace.output);
  const remembered = await fetchRemembered(memoFile);
  if (remembered !== undefined) {
    if (await isIntact(remembered, dirname(binDir))) return copyAt(remembered, memoFile);
    await rm(remembered, { recursive: true, force: true });
  }
  for (const parent of new Set([tmpdir(), "/tmp", "/var/tmp"])) {
    const copy = await copyInto(parent, dirname(binDir));
    if (copy === undefined) continue;
    if ((await tryRun(join(copy, "bin"), account)).works) {
      await writeFile(memoFile, copy, { mode: 0o600 });
      return copyAt(copy, memoFile);
    }
    await rm(copy, { recursive: true, force: true });
  }
  throw cannotRun(binDir, inPlace.output);
}

function copyAt(copy: string, memoFile: string): ReachableBinaries {
  return {
    binDir: join(copy, "bin"),
    async remove() {
      await rm(copy, { recursive: true, force: true });
      await rm(memoFile, { force: true });
    },
  };
}

async function tryRun(
  binDir: string,
  account: Account | undefined,
): Promise<{ works: boolean; output: string }> {
  const options = { cwd: "/", uid: account?.uid, gid: account?.gid };
  const { exitCode, output } = await runProgram(join(binDir, "postgres"), ["--version"], options);
  return { works: exitCode === 0, output };
}

function cannotRun(binDir: string, output: string): RealtimeError {
  const reason = output.trim().split("\n").at(-1) ?? "";
  return new RealtimeError(
    "source_unavailable",
    `The embedded PostgreSQL in ${binDir} cannot be run here (${reason}): set DATABASE_URL to a PostgreSQL of yours.`,
  );
}

/** Undefined when the folder cannot take it. */
async function copyInto(parent: string, native: string): Promise<string | undefined> {
  let copy: string | undefined;
  try {
    copy = await mkdtemp(join(parent, COPY_PREFIX));
    await cp(native, copy, { recursive: true, verbatimSymlinks: true });
    await openToAll(copy);
    return copy;
  } catch {
    if (copy !== undefined) await rm(copy, { recursive: true, force: true });
    return undefined;
  }
}

/** An install under a strict umask leaves files that only their owner can read. */
async function openToAll(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await openToAll(path);
    else if (entry.isFile()) await chmod(path, 0o755);
  }
}

async function fetchRemembered(memoFile: string): Promise<string | undefined> {
  return readFile(memoFile, "utf8").catch(() => undefined);
}

/** Whether the copy is ours alone to write, and has every file in its full length. */
async function isIntact(copy: string, native: string): Promise<boolean> {
  const status = await lstat(copy).catch(() => undefined);
  if (status?.isDirectory() !== true || status.uid !== process.getuid?.() || (status.mode & 0o022) !== 0) {
    return false;
  }
  return hasAllFiles(copy, native).catch(() => false);
}

async function hasAllFiles(copy: string, native: string): Promise<boolean> {
  for (const entry of await readdir(native, { withFileTypes: true })) {
    const [original, copied] = [join(native, entry.name), join(copy, entry.name)];
    if (entry.isDirectory()) {
      if (!(await hasAllFiles(copied, original))) return false;
    } else if ((await lstat(original)).size !== (await lstat(copied)).size) return false;
  }
  return true;
}

import { chmod, chown, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { RealtimeError } from "@paperdb/protocol";
import { errorCode } from "../data-dir/error-code.ts";
import { spawnPlace } from "./account.ts";
import type { Account } from "./account.ts";
import { isAlive } from "./postmaster-file.ts";
import { runProgram } from "./run-program.ts";

/** What a new cluster is made from. */
export interface ClusterOptions {
  readonly folder: string;
  readonly binDir: string;
  readonly account: Account | undefined;
  readonly user: string;
  readonly password: string;
  /** False saves the sync to disk: for tests. */
  readonly fsync: boolean;
}

/** Whether the folder holds a complete cluster: it gets its name only when it is. */
export async function clusterExists(folder: string): Promise<boolean> {
  try {
    await stat(join(folder, "PG_VERSION"));
    return true;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    throw new RealtimeError(
      "source_unavailable",
      `${folder} belongs to another user: run the server as the user that has made it, or set PAPERDB_DATA_DIR to another folder.`,
      { cause: error },
    );
  }
}

/**
 * Makes the cluster beside its folder and renames it into place, so that a
 * half-made one is never started, and of two starts at once one wins.
 *
 * @returns whether this one was it.
 */
export async function createCluster(options: ClusterOptions): Promise<boolean> {
  const parent = dirname(options.folder);
  const prefix = `${basename(options.folder)}.new-`;
  await removeAbandoned(parent, prefix);
  const workshop = await mkdtemp(join(parent, `${prefix}${process.pid}-`));
  try {
    await makeIn(workshop, options);
    return await moveIntoPlace(join(workshop, "data"), options.folder);
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
}

async function makeIn(workshop: string, options: ClusterOptions): Promise<void> {
  const data = join(workshop, "data");
  const passwordFile = join(workshop, "password");
  await mkdir(data, { mode: 0o700 });
  await writeFile(passwordFile, `${options.password}\n`, { mode: 0o600 });
  const { account } = options;
  if (account !== undefined) {
    for (const path of [workshop, data, passwordFile]) await chown(path, account.uid, account.gid);
  }
  const { dataArgument, ...place } = spawnPlace(data, account);
  const result = await runProgram(
    join(options.binDir, "initdb"),
    [
      `--pgdata=${dataArgument}`,
      `--username=${options.user}`,
      `--pwfile=${join("..", "password")}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      ...(await localeArguments(options.binDir, place)),
      ...(options.fsync ? [] : ["--no-sync"]),
    ],
    place,
  );
  if (result.exitCode !== 0) {
    const reason = /error: (.*)/.exec(result.output)?.[1] ?? result.output.trim().split("\n").at(-1) ?? "";
    throw new RealtimeError(
      "source_unavailable",
      `The embedded PostgreSQL could not be set up in ${options.folder} (${reason}): see that the disk has room and PAPERDB_DATA_DIR is a local folder, or set DATABASE_URL.`,
    );
  }
  await chmod(data, 0o700);
}

/** One collation on every machine; from 17 on the built-in one, which knows Unicode's upper and lower case. */
async function localeArguments(binDir: string, place: { cwd: string }): Promise<string[]> {
  const { output } = await runProgram(join(binDir, "initdb"), ["--version"], place);
  const major = Number(/\(PostgreSQL\) (\d+)/.exec(output)?.[1] ?? 0);
  return major >= 17
    ? ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    : ["--locale=C"];
}

async function moveIntoPlace(data: string, folder: string): Promise<boolean> {
  try {
    await rename(data, folder);
    return true;
  } catch (error) {
    if (await clusterExists(folder)) return false;
    const code = errorCode(error) ?? "unknown";
    throw new RealtimeError(
      "source_unavailable",
      `${folder} exists but is not a PostgreSQL cluster (${code}): move it away, or set PAPERDB_DATA_DIR to another folder.`,
      { cause: error },
    );
  }
}

/** What a start that was killed has left behind. */
async function removeAbandoned(parent: string, prefix: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : Number.NaN;
    if (Number.isNaN(pid) || pid === process.pid || (await isAlive(pid))) continue;
    await rm(join(parent, name), { recursive: true, force: true });
  }
}

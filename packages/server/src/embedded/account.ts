import { readFile, stat } from "node:fs/promises";
import { RealtimeError } from "@paperdb/protocol";

/** The operating system account that PostgreSQL runs as. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

const PREFERRED_ACCOUNTS = ["postgres", "nobody"];

/**
 * The account to run PostgreSQL as, since it refuses root: the owner of the
 * cluster's folder, else `postgres`, else `nobody`. Undefined for an ordinary
 * user, who runs it as themselves.
 *
 * @throws {RealtimeError} where root has none of these.
 */
export async function findAccount(clusterFolder: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await fetchOwner(clusterFolder);
  if (owner !== undefined) return owner;
  const accounts = parseAccounts(await readFile("/etc/passwd", "utf8").catch(() => ""));
  for (const name of PREFERRED_ACCOUNTS) {
    const account = accounts.find((candidate) => candidate.name === name && candidate.uid !== 0);
    if (account !== undefined) return account;
  }
  throw new RealtimeError(
    "source_unavailable",
    "The embedded PostgreSQL cannot run as root, and /etc/passwd has neither `postgres` nor `nobody`: run the server as an ordinary user, or set DATABASE_URL.",
  );
}

async function fetchOwner(folder: string): Promise<Account | undefined> {
  const status = await stat(folder).catch(() => undefined);
  if (status === undefined || status.uid === 0) return undefined;
  return { name: `uid ${status.uid}`, uid: status.uid, gid: status.gid };
}

/** The accounts of a passwd file; lines it cannot read are left out. */
export function parseAccounts(passwd: string): Account[] {
  return passwd.split("\n").flatMap((line) => {
    const [name, , uid, gid] = line.split(":");
    if (!name || !uid || !gid || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) return [];
    return [{ name, uid: Number(uid), gid: Number(gid) }];
  });
}

/** How a program is started inside a cluster's folder. */
export interface SpawnPlace {
  readonly cwd: string;
  readonly uid?: number;
  readonly gid?: number;
  /** The folder as the program may name it (`-D`). */
  readonly dataArgument: string;
}

/**
 * Where and as whom a PostgreSQL program runs.
 *
 * On Linux the folder is entered before root's rights are dropped and is then
 * named by `/proc/self/cwd`, so that its parents may be closed to the account
 * (from PostgreSQL 16 on: earlier ones leave the folder and come back by its path).
 */
export function spawnPlace(clusterFolder: string, account: Account | undefined): SpawnPlace {
  if (account === undefined) return { cwd: clusterFolder, dataArgument: clusterFolder };
  const dataArgument = process.platform === "linux" ? "/proc/self/cwd" : clusterFolder;
  return { cwd: clusterFolder, dataArgument, uid: account.uid, gid: account.gid };
}

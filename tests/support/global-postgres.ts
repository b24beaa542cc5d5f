import type { TestProject } from "vitest/node";
import { findDebianPostgres } from "./debian-postgres.ts";
import { startOwnPostgres } from "./own-postgres.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The run's server, as a superuser. */
    postgresUrl: string;
    /** Binaries of the version that the run is for; undefined for those from npm. */
    postgresBinDir: string | undefined;
  }
}

/** Starts the one PostgreSQL of a project's run, or takes the one that DATABASE_URL names. */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const binDir = project.name === "integration-pg15" ? findDebianPostgres(15) : undefined;
  project.provide("postgresBinDir", binDir);
  const givenUrl = process.env["DATABASE_URL"];
  if (givenUrl !== undefined && binDir === undefined) {
    project.provide("postgresUrl", givenUrl);
    return undefined;
  }
  const server = await startOwnPostgres({ binDir });
  project.provide("postgresUrl", server.url);
  return () => server.stop();
}

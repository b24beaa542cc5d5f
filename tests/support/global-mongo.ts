import type { TestProject } from "vitest/node";
import { startMongo } from "./own-mongo.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The run's server, without a database's name. */
    mongoUrl: string;
  }
}

/** Starts the one MongoDB of a project's run, or takes the one that MONGODB_URL names. */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const givenUrl = process.env["MONGODB_URL"];
  if (givenUrl !== undefined) {
    project.provide("mongoUrl", givenUrl);
    return undefined;
  }
  const server = await startMongo({ syncOnCommit: false });
  project.provide("mongoUrl", server.url);
  return () => server.stop();
}

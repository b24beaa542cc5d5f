import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import type { TestProjectInlineConfiguration } from "vitest/config";
import { findDebianPostgres } from "./tests/support/debian-postgres.ts";

const alias = {
  "@paperdb/protocol": fileURLToPath(new URL("packages/protocol/src/index.ts", import.meta.url)),
  paperdb: fileURLToPath(new URL("packages/paperdb/src/index.ts", import.meta.url)),
};

const withPostgres = {
  globalSetup: ["tests/support/global-postgres.ts"],
  // A few waits of `tests/support/until.ts` one after the other.
  testTimeout: 180_000,
  hookTimeout: 240_000,
};

const withBoth = {
  ...withPostgres,
  globalSetup: [...withPostgres.globalSetup, "tests/support/global-mongo.ts"],
};

const MONGO_TESTS = "tests/integration/mongo*.test.ts";

const projects: TestProjectInlineConfiguration[] = [
  {
    extends: true,
    test: {
      name: "unit",
      // Property tests on a busy machine take longer than the default.
      testTimeout: 120_000,
      hookTimeout: 120_000,
      include: ["packages/*/src/**/*.test.ts", "bench/**/*.test.ts"],
    },
  },
  {
    extends: true,
    test: {
      name: "integration",
      include: ["tests/integration/**/*.test.ts"],
      exclude: [MONGO_TESTS],
      ...withPostgres,
    },
  },
  { extends: true, test: { name: "mongodb", include: [MONGO_TESTS], ...withBoth } },
  { extends: true, test: { name: "e2e", include: ["tests/e2e/**/*.test.ts"], ...withBoth } },
];

if (findDebianPostgres(15) === undefined) {
  process.stdout.write("PostgreSQL 15 is not installed: the project integration-pg15 is left out.\n");
} else {
  projects.push({
    extends: true,
    test: {
      name: "integration-pg15",
      include: ["tests/integration/postgres-{filters,source,wal}*.test.ts"],
      exclude: ["tests/integration/postgres-source-queue.test.ts"],
      ...withPostgres,
    },
  });
}

export default defineConfig({
  resolve: { alias },
  test: {
    pool: "forks",
    maxWorkers: 2,
    // A busy machine takes its time; the default is one second.
    expect: { poll: { timeout: 60_000 } },
    // For the databases of all projects to end; the default is ten seconds.
    teardownTimeout: 120_000,
    reporters: ["default", "./tests/support/summary-reporter.ts"],
    projects,
  },
});

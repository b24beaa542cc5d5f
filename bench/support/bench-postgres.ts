import {
  startOwnPostgres,
  type OwnPostgresOptions,
  type TestPostgres,
} from "../../tests/support/own-postgres.ts";

const running = new Set<TestPostgres>();
process.on("exit", () => {
  for (const { pid } of running) endNow(pid);
});

/** A PostgreSQL of the benchmark's own, which ends with the benchmark, also when that is interrupted. */
export async function startBenchPostgres(options?: OwnPostgresOptions): Promise<TestPostgres> {
  const server = await startOwnPostgres(options);
  const stop = server.stop.bind(server);
  server.stop = async () => {
    running.delete(server);
    await stop();
  };
  running.add(server);
  return server;
}

/** PostgreSQL's fast shutdown. */
function endNow(pid: number): void {
  try {
    process.kill(pid, "SIGINT");
  } catch (error) {
    const gone = error instanceof Error && "code" in error && error.code === "ESRCH";
    if (!gone) throw error;
  }
}

import { createInterface } from "node:readline";
import { startEmbeddedPostgres } from "../../packages/server/src/embedded/embedded-postgres.ts";
import type { EmbeddedPostgresOptions } from "../../packages/server/src/embedded/embedded-postgres.ts";
import { lockDataDir } from "../../packages/server/src/embedded/server-lock.ts";

// A server's share of the launcher, in a process that a test can kill: started with its options
// as JSON; says as JSON what became of it; closes when its input ends.
const options: EmbeddedPostgresOptions = JSON.parse(process.argv[2] ?? "{}");
try {
  const database = await startEmbeddedPostgres(options);
  const lock = await lockDataDir(database.url, options.dataDir).catch(async (error: unknown) => {
    await database.close();
    throw error;
  });
  const { url, port, pid, adopted, firstStart } = database;
  process.stdout.write(`${JSON.stringify({ url, port, pid, adopted, firstStart })}\n`);
  const input = createInterface({ input: process.stdin });
  input.once("close", () => void lock.release().then(() => database.close()));
} catch (error) {
  process.stdout.write(`${JSON.stringify({ error: String(error) })}\n`);
  process.exitCode = 1;
}

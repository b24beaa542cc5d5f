import { fileURLToPath } from "node:url";
import { startBackend } from "./backend.js";
import { startRealtime } from "./realtime.js";

const { PORT = "3000", REALTIME_PORT = "4000", PG_PORT = "5433" } = process.env;
const dataDir = process.env["DATA_DIR"] ?? fileURLToPath(new URL("data", import.meta.url));
const TEAMS = ["acme", "globex"];

const realtime = await startRealtime({
  port: Number(REALTIME_PORT),
  pgPort: Number(PG_PORT),
  dataDir,
});
const apiKeys = new Map();
for (const team of TEAMS) apiKeys.set(team, await realtime.createSecretKey(team));
const backend = await startBackend({
  port: Number(PORT),
  databaseUrl: realtime.databaseUrl,
  realtimeUrl: realtime.url,
  apiKeys,
});

process.stdout.write(
  `\nOpen these in two windows each:\n${TEAMS.map((team) => `  ${backend.url}/${team}\n`).join("")}\n`,
);

let stopping = false;
async function stop() {
  if (stopping) return;
  stopping = true;
  await backend.close();
  await realtime.close();
}
process.on("SIGINT", () => void stop());
process.on("SIGTERM", () => void stop());

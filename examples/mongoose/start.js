import { fileURLToPath } from "node:url";
import { startBackend } from "./backend.js";
import { startRealtime } from "./realtime.js";

const { MONGODB_URL: mongodbUrl, PORT = "3000", REALTIME_PORT = "4000", PG_PORT = "5433" } = process.env;
const dataDir = process.env["DATA_DIR"] ?? fileURLToPath(new URL("data", import.meta.url));
const TENANTS = ["alice", "bob"];

if (mongodbUrl === undefined) {
  process.stderr.write(
    "Set MONGODB_URL to a replica set, with a database: MONGODB_URL=mongodb://127.0.0.1:27017/example npm start\n",
  );
  process.exit(1);
}

const realtime = await startRealtime({
  mongodbUrl,
  port: Number(REALTIME_PORT),
  pgPort: Number(PG_PORT),
  dataDir,
});
const anonKeys = new Map();
for (const tenant of TENANTS) anonKeys.set(tenant, await realtime.createAnonKey(tenant));
const backend = await startBackend({ mongodbUrl, port: Number(PORT), realtimeUrl: realtime.url, anonKeys });

process.stdout.write(
  `\nOpen these in two windows each:\n${TENANTS.map((tenant) => `  ${backend.url}/${tenant}\n`).join("")}\n`,
);

async function stop() {
  await backend.close();
  await realtime.close();
}
process.once("SIGINT", () => void stop());
process.once("SIGTERM", () => void stop());

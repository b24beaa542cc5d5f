import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

// In an application of your own: `npx paperdb-realtime start`, as a service beside the backend.
const PROGRAM = fileURLToPath(new URL("../../packages/server/bin/paperdb-realtime.js", import.meta.url));
const START_TIMEOUT_MS = 60_000;

/**
 * Starts PaperDB Realtime on a MongoDB. Tenants and keys are in its own embedded PostgreSQL, under `dataDir`.
 *
 * @param {object} options
 * @param {string} options.mongodbUrl
 * @param {number} options.port
 * @param {number} options.pgPort
 * @param {string} options.dataDir
 */
export async function startRealtime({ mongodbUrl, port, pgPort, dataDir }) {
  const adminKey = randomBytes(24).toString("base64url");
  const url = `http://127.0.0.1:${port}`;
  await mkdir(dataDir, { recursive: true });
  const { DATABASE_URL: _unused, ...inherited } = process.env;
  const child = spawn(process.execPath, [PROGRAM, "start"], {
    stdio: ["ignore", "ignore", "inherit"],
    env: {
      ...inherited,
      MONGODB_URL: mongodbUrl,
      PORT: String(port),
      PAPERDB_PG_PORT: String(pgPort),
      PAPERDB_DATA_DIR: dataDir,
      PAPERDB_ADMIN_KEY: adminKey,
    },
  });
  const ended = once(child, "exit");

  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const answer = await fetch(`${url}/readyz`).catch(() => undefined);
    if (answer?.ok) break;
    if (child.exitCode !== null) throw new Error("PaperDB Realtime did not start; see above.");
    if (Date.now() > deadline) {
      child.kill();
      throw new Error(
        `PaperDB Realtime is not ready: ${answer === undefined ? "no answer" : await answer.text()}`,
      );
    }
    await delay(100);
  }

  /** @param {string} path @param {unknown} body */
  const post = (path, body) =>
    fetch(`${url}/v1/admin/${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${adminKey}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });

  return {
    url,
    /** Makes the tenant where it is new. @param {string} tenant @returns {Promise<string>} an anon key */
    async createAnonKey(tenant) {
      const made = await post("tenants", { id: tenant, plan: "pro" });
      if (made.status !== 201 && made.status !== 409) throw new Error(await made.text());
      // A page's key sees no more than it needs.
      const answer = await post(`tenants/${tenant}/keys`, { role: "anon", collections: ["messages"] });
      if (answer.status !== 201) throw new Error(await answer.text());
      return (await answer.json()).key;
    },
    async close() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

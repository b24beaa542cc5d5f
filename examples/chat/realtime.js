import { randomBytes } from "node:crypto";
import { loadConfig, startServer } from "paperdb-realtime";

/**
 * Starts PaperDB Realtime in this process, on an embedded PostgreSQL under `dataDir`. In production it is a
 * service of its own beside your database: `npx paperdb-realtime start` with `DATABASE_URL`.
 *
 * @param {object} options
 * @param {number} options.port
 * @param {number} options.pgPort
 * @param {string} options.dataDir
 */
export async function startRealtime({ port, pgPort, dataDir }) {
  const adminKey = randomBytes(24).toString("base64url");
  const environment = {
    ...process.env,
    DATABASE_URL: undefined,
    MONGODB_URL: undefined,
    PORT: String(port),
    PAPERDB_PG_PORT: String(pgPort),
    PAPERDB_DATA_DIR: dataDir,
    PAPERDB_ADMIN_KEY: adminKey,
  };
  const server = await startServer(loadConfig(environment, process.cwd(), { logLevel: "warn" }));

  /** @param {string} path @param {unknown} body */
  const post = (path, body) =>
    fetch(`${server.url}/v1/admin/${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${adminKey}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });

  return {
    url: server.url,
    databaseUrl: server.databaseUrl,
    /** Makes the tenant where it is new. @param {string} tenant @returns {Promise<string>} a secret key */
    async createSecretKey(tenant) {
      const made = await post("tenants", { id: tenant, plan: "pro" });
      if (made.status !== 201 && made.status !== 409) throw new Error(await made.text());
      const answer = await post(`tenants/${tenant}/keys`, { role: "secret" });
      if (answer.status !== 201) throw new Error(await answer.text());
      return (await answer.json()).key;
    },
    close: () => server.close(),
  };
}

import { once } from "node:events";
import { createServer } from "node:net";

/** Below those that systems give to connections and to who asks for any port: those would be taken meanwhile. */
const FIRST_PORT = 12_000;
/** A process of the same run has others to choose from. */
const PORTS_OF_A_PROCESS = 2_500;
const PROCESSES = 8;

const given = new Set<number>();

/** A port of 127.0.0.1 that nothing listens on, and that stays free until it is used, also between two uses. */
export async function freePort(): Promise<number> {
  const place = Number(process.env["VITEST_POOL_ID"] ?? 0) % PROCESSES;
  for (;;) {
    const port = FIRST_PORT + place * PORTS_OF_A_PROCESS + Math.floor(Math.random() * PORTS_OF_A_PROCESS);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
  } catch {
    // In use, or not for us to use.
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}

import { fileURLToPath } from "node:url";
import type { FanOutPlace } from "../support/fan-out-server.ts";
import { PeerProcess } from "./peer-process.ts";

/** A server of our own writing on plain Node, and the port that it said. */
export async function startNode(
  module: URL,
  { core }: FanOutPlace,
  args: readonly string[] = [],
): Promise<{ readonly process: PeerProcess; readonly port: number }> {
  const started = new PeerProcess({
    program: process.execPath,
    args: ["--expose-gc", ...process.execArgv, fileURLToPath(module), ...args],
    core,
    env: { NODE_ENV: "production" },
  });
  return { process: started, port: await started.fetchPort() };
}

import type { BenchmarkContext } from "../benchmark.ts";
import type { FanOutPeer } from "../support/fan-out-server.ts";
import { FloorPeer } from "../support/floor/floor-peer.ts";
import { PEERS } from "./peers.ts";

/** Those that ours is compared with. */
export interface PreparedPeers {
  readonly peers: readonly FanOutPeer[];
  /** Sentences on those that cannot run here. */
  readonly absent: readonly string[];
}

/** The floor and the other servers, as far as they are wanted and can run here. */
export async function preparePeers({
  peers: names,
  progress,
}: Pick<BenchmarkContext, "peers" | "progress">): Promise<PreparedPeers> {
  const peers: FanOutPeer[] = [];
  const absent: string[] = [];
  for (const peer of [new FloorPeer(), ...PEERS]) {
    if (names?.includes(peer.name) === false) continue;
    const reason = await peer.prepare(progress);
    if (reason === undefined) peers.push(peer);
    else absent.push(`${peer.name} is left out: ${reason}.`);
  }
  return { peers, absent };
}

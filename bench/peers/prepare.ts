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

/** The floor and the other servers, as far as they are wanted and can run here; in the short form only those that are named. */
export async function preparePeers({
  peers: names,
  short,
  progress,
}: Pick<BenchmarkContext, "peers" | "short" | "progress">): Promise<PreparedPeers> {
  const peers: FanOutPeer[] = [];
  const withOthers = !short || names !== undefined;
  const absent = withOthers
    ? []
    : ["The short form leaves the other servers out, unless `--peers` names them."];
  for (const peer of [new FloorPeer(), ...(withOthers ? PEERS : [])]) {
    if (names?.includes(peer.name) === false) continue;
    const reason = await peer.prepare(progress);
    if (reason === undefined) peers.push(peer);
    else absent.push(`${peer.name} is left out: ${reason}.`);
  }
  return { peers, absent };
}

import { PEERS } from "../peers/peers.ts";
import { FanOutContestant } from "./fan-out-contestant.ts";
import { OurPeer } from "./fan-out-ours.ts";
import type { FanOutPeer, FanOutTransport } from "./fan-out-server.ts";
import { FloorPeer } from "./floor/floor-peer.ts";

/** For `--peers`. */
export const PEER_NAMES: readonly string[] = ["ours", "floor", ...PEERS.map(({ name }) => name)];

const SAMPLE_EVENTS = 20;

/** Who takes part in a fan-out benchmark: always ours and the floor, and those of the others that can run here. */
export class FanOutEntries {
  readonly ours: OurPeer;
  readonly floor = new FloorPeer();
  readonly others: readonly FanOutPeer[];
  /** Sentences on those that are left out. */
  readonly absent: readonly string[];

  private constructor(ours: OurPeer, others: readonly FanOutPeer[], absent: readonly string[]) {
    this.ours = ours;
    this.others = others;
    this.absent = absent;
  }

  /** @param names - of the others, those that are wanted; undefined: all. */
  static async prepare({
    names,
    profileDir,
    progress,
  }: {
    names: readonly string[] | undefined;
    profileDir: string | undefined;
    progress: (message: string) => void;
  }): Promise<FanOutEntries> {
    const others: FanOutPeer[] = [];
    const absent: string[] = [];
    for (const peer of PEERS.filter(({ name }) => names?.includes(name) ?? true)) {
      const reason = await peer.prepare(progress);
      if (reason === undefined) others.push(peer);
      else absent.push(`${peer.name} is left out: ${reason}`);
    }
    const entries = new FanOutEntries(new OurPeer(profileDir), others, absent);
    await entries.floor.prepare(progress);
    return entries;
  }

  /** Starts those that speak this transport: ours, the floor with events of the same size, and the others. */
  async start(
    transport: FanOutTransport,
    { withOthers }: { readonly withOthers: boolean },
  ): Promise<readonly FanOutContestant[]> {
    const started: FanOutContestant[] = [];
    try {
      const ours = await FanOutContestant.start(this.ours, transport);
      started.push(ours);
      this.floor.frameBytes[transport] = await sampleFrameBytes(ours);
      started.push(await FanOutContestant.start(this.floor, transport));
      const others = withOthers ? this.others : [];
      for (const peer of others.filter(({ transports }) => transports.includes(transport))) {
        started.push(await FanOutContestant.start(peer, transport));
      }
      return started;
    } catch (error) {
      await closeAll(started);
      throw error;
    }
  }
}

/** Ends all, whatever happens to one of them. */
export async function closeAll(contestants: readonly FanOutContestant[]): Promise<void> {
  const outcomes = await Promise.allSettled(contestants.map((each) => each.close()));
  const failed = outcomes.find(({ status }) => status === "rejected");
  if (failed?.status === "rejected") throw failed.reason;
}

/** What an event of ours is on the wire; leaves one connection. */
export async function sampleFrameBytes(ours: FanOutContestant): Promise<number> {
  await ours.connect(1);
  // One at a time: what else is sent may not be counted with them.
  const { bytes, delivered } = await ours.run({ events: SAMPLE_EVENTS, perSecond: 1000 });
  if (delivered !== SAMPLE_EVENTS) throw new Error("Ours did not deliver the first events.");
  return Math.round(bytes / delivered);
}

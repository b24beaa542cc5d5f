import type { PublishProtocol } from "./fan-out-server.ts";
import { LoadPublisher } from "./load-publisher.ts";
import type { SoakTarget } from "./soak-client.ts";
import { SoakCrowd, type SoakCounts } from "./soak-crowd.ts";
import { serveCalls } from "./worker-process.ts";

/** The calls of the process that holds the clients and publishes. */
export interface SoakCalls {
  [call: string]: (argument: never) => unknown;
  /** Connects so many, over the transports in turns. */
  open(argument: {
    targets: readonly SoakTarget[];
    publish: PublishProtocol;
    clients: number;
  }): Promise<void>;
  /** Publishes while clients come and go, until there were so many more deliveries; ends with all clients live. */
  run(argument: { deliveries: number }): Promise<SoakCounts>;
  close(argument: Record<string, never>): void;
}

const EVENTS_AT_ONCE = 20;
const REPLACED_PER_BATCH = 3;

let crowd = new SoakCrowd([], 0);
let publisher: LoadPublisher | undefined;
let published = 0;

const calls: SoakCalls = {
  async open({ targets, publish, clients }) {
    crowd = new SoakCrowd(targets, clients);
    publisher = new LoadPublisher(publish);
    await crowd.fill();
  },
  async run({ deliveries }) {
    const goal = crowd.counts.deliveries + deliveries;
    await publisher?.open();
    while (crowd.counts.deliveries < goal) {
      crowd.expect(published + EVENTS_AT_ONCE);
      publisher?.publish(published + 1, EVENTS_AT_ONCE);
      published += EVENTS_AT_ONCE;
      crowd.replace(REPLACED_PER_BATCH);
      await publisher?.untilAnswered(EVENTS_AT_ONCE);
      await crowd.untilDelivered();
    }
    await crowd.fill();
    return { ...crowd.counts };
  },
  close() {
    crowd.close();
    publisher?.close();
  },
};

serveCalls(calls);

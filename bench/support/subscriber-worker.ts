import { SubscriberGroup, type GroupTarget, type Received } from "./subscriber-group.ts";
import { serveCalls } from "./worker-process.ts";

/** The calls of the process that holds the subscribers; groups are named by the caller. */
export interface SubscriberCalls {
  [call: string]: (argument: never) => unknown;
  open(argument: { group: string; target: GroupTarget }): Promise<void>;
  waitForEvents(argument: { group: string; events: number; timeoutMs: number }): Promise<void>;
  take(group: string): Received;
  close(group: string): void;
}

const groups = new Map<string, SubscriberGroup>();

function groupOf(name: string): SubscriberGroup {
  const group = groups.get(name);
  if (group === undefined) throw new Error(`There is no group ${name}.`);
  return group;
}

const calls: SubscriberCalls = {
  async open({ group, target }) {
    const opened = new SubscriberGroup(target);
    groups.set(group, opened);
    await opened.open();
  },
  waitForEvents: ({ group, events, timeoutMs }) => groupOf(group).waitForEvents(events, timeoutMs),
  take: (group) => groupOf(group).take(),
  close(group) {
    groupOf(group).close();
    groups.delete(group);
  },
};

serveCalls(calls);

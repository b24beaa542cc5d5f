import {
  LoadGroup,
  type LoadServer,
  type OpenOptions,
  type RunOptions,
  type RunResult,
} from "./load-group.ts";
import { serveCalls } from "./worker-process.ts";

/** The calls of the process that holds the connections. */
export interface LoadCalls {
  [call: string]: (argument: never) => unknown;
  /** Returns the seconds until all were live. */
  open(argument: { group: string; server: LoadServer; options: OpenOptions }): Promise<number>;
  run(argument: { group: string; options: RunOptions }): Promise<RunResult>;
  pauseReading(argument: { group: string; count: number }): void;
  resumeReading(group: string): void;
  close(group: string): void;
}

const groups = new Map<string, LoadGroup>();

function groupOf(name: string): LoadGroup {
  const group = groups.get(name);
  if (group === undefined) throw new Error(`There is no group "${name}".`);
  return group;
}

const calls: LoadCalls = {
  open({ group, server, options }) {
    const opened = groups.get(group) ?? new LoadGroup(server);
    groups.set(group, opened);
    return opened.open(options);
  },
  run: ({ group, options }) => groupOf(group).run(options),
  pauseReading: ({ group, count }) => groupOf(group).pauseReading(count),
  resumeReading: (group) => groupOf(group).resumeReading(),
  close(group) {
    groupOf(group).close();
    groups.delete(group);
  },
};

serveCalls(calls);

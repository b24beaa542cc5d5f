import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string };
  readonly children?: readonly number[];
}

interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  /** µs, each since the sample before. */
  readonly timeDeltas: readonly number[];
  /** µs on the monotonic clock. */
  readonly startTime: number;
}

/** What a function's time counts as: the first one whose pattern is in its file's path. */
export interface Stage {
  readonly title: string;
  readonly files: RegExp;
}

/** A part of a profile. */
export interface ProfileWindow {
  /** On the monotonic clock. */
  readonly fromMs: number;
  readonly toMs: number;
}

/** Names of the engine's own work that are not on anybody's account. */
const ENGINE: ReadonlyMap<string, string> = new Map([
  ["(garbage collector)", "garbage collection"],
  ["(program)", "Node and the engine outside of JavaScript"],
]);
const IDLE = "(idle)";
const SOCKET_WRITE = "socket writes";
const SOCKET_WRITES: ReadonlySet<string> = new Set([
  "writeBuffer",
  "writev",
  "writeUtf8String",
  "writeLatin1String",
]);
const OTHER = "anything else";

/** Reads the profile that a process has left in a folder. */
export async function readProfile(folder: string): Promise<Profile> {
  const name = (await readdir(folder)).find((file) => file.endsWith(".cpuprofile"));
  if (name === undefined) throw new Error("There is no profile.");
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- V8 wrote it.
  return JSON.parse(await readFile(join(folder, name), "utf8")) as Profile;
}

/** How many µs of CPU each stage took; what native functions do counts as their caller's. Idle time is left out. */
export function stageTimes(
  { nodes, samples, timeDeltas, startTime }: Profile,
  stages: readonly Stage[],
  { fromMs, toMs }: ProfileWindow,
): ReadonlyMap<string, number> {
  const titles = titlesOf(nodes, stages);
  const times = new Map<string, number>();
  let atUs = startTime;
  for (const [index, sample] of samples.entries()) {
    const delta = timeDeltas[index] ?? 0;
    atUs += delta;
    const title = titles.get(sample);
    if (title === undefined || atUs < fromMs * 1000 || atUs > toMs * 1000) continue;
    times.set(title, (times.get(title) ?? 0) + delta);
  }
  return times;
}

/** By node; none of those that are idle. */
function titlesOf(nodes: readonly ProfileNode[], stages: readonly Stage[]): ReadonlyMap<number, string> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const titles = new Map<number, string>();
  const visit = (node: ProfileNode, callers: string): void => {
    const title = titleOf(node, callers, stages);
    if (title !== undefined) titles.set(node.id, title);
    for (const child of node.children ?? []) {
      const called = byId.get(child);
      if (called !== undefined) visit(called, title ?? OTHER);
    }
  };
  const [root] = nodes;
  if (root !== undefined) visit(root, OTHER);
  return titles;
}

function titleOf(
  { callFrame: { functionName, url } }: ProfileNode,
  callers: string,
  stages: readonly Stage[],
): string | undefined {
  if (functionName === IDLE) return undefined;
  const engine = ENGINE.get(functionName);
  if (engine !== undefined) return engine;
  if (url === "" && SOCKET_WRITES.has(functionName)) return SOCKET_WRITE;
  return stages.find(({ files }) => files.test(url))?.title ?? (url === "" ? callers : OTHER);
}

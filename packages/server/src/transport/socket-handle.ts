import type { Socket } from "node:net";

/**
 * What a socket of `node:net` reads from and writes to. It is internal to Node: seen to be so in 20, 22 and 24.
 */
export interface SocketHandle {
  onread: unknown;
  /** Gives bytes to the kernel; what it does not take at once is written later. @returns an error's number, or 0. */
  writeBuffer(request: WriteRequest, bytes: Buffer): number;
}

/** Who is told how a write has ended that the kernel did not take at once. */
export interface WriteOwner {
  written(): void;
  writeFailed(): void;
}

/** One write, while it is under way. */
interface WriteRequest {
  oncomplete?: (status: number) => void;
  owner?: WriteOwner;
  /** Not to be collected before they are written. */
  bytes?: Buffer;
}

/** Of Node's streams. */
interface StreamBinding {
  readonly WriteWrap: new () => WriteRequest;
  readonly streamBaseState: Int32Array;
  readonly kLastWriteWasAsync: number;
}

/** Where a socket keeps its handle. */
export const HANDLE = "_handle";

/** A socket, with what it keeps for itself. */
export interface HandleSocket extends Socket {
  [HANDLE]?: SocketHandle | null;
}

const binding = findBinding();
// Looked up once: the binding is an object that is slow to read from.
const lastWrite = binding?.streamBaseState ?? new Int32Array(1);
const WAS_ASYNC = binding?.kLastWriteWasAsync ?? 0;
/** Most writes end at once: their request is as good as new. */
let unused = newRequest();

/** @returns undefined where this version of Node has no handle that could be written to. */
export function writableHandleOf(socket: Socket): SocketHandle | undefined {
  const handle = handleOf(socket);
  return binding !== undefined && typeof handle?.writeBuffer === "function" ? handle : undefined;
}

/** @returns undefined where this version of Node has none, or the socket has lost it. */
export function handleOf(socket: HandleSocket): SocketHandle | undefined {
  const { [HANDLE]: handle } = socket;
  return typeof handle === "object" && handle !== null && "onread" in handle ? handle : undefined;
}

/**
 * Writes past the socket's own queue, of which a small write would take longer than the system call. Whoever writes in
 * this way to a socket is its only writer.
 *
 * @returns whether all is on its way; else the owner is told how it ends. Before that, nothing else may be written.
 */
export function writeToHandle(handle: SocketHandle, bytes: Buffer, owner: WriteOwner): boolean {
  const request = unused;
  const error = handle.writeBuffer(request, bytes);
  if (error === 0 && lastWrite[WAS_ASYNC] === 0) return true;
  unused = newRequest();
  if (error === 0) {
    request.oncomplete = completed;
    request.owner = owner;
    request.bytes = bytes;
  } else owner.writeFailed();
  return false;
}

function completed(this: WriteRequest, status: number): void {
  if (status < 0) this.owner?.writeFailed();
  else this.owner?.written();
}

function newRequest(): WriteRequest {
  return binding === undefined ? {} : new binding.WriteWrap();
}

function findBinding(): StreamBinding | undefined {
  const find: unknown = Reflect.get(process, "binding");
  if (typeof find !== "function") return undefined;
  try {
    const found: unknown = Reflect.apply(find, process, ["stream_wrap"]);
    return isStreamBinding(found) ? found : undefined;
  } catch {
    // This version, or its permissions, do not give it away: sockets are written to as streams.
    return undefined;
  }
}

function isStreamBinding(found: unknown): found is StreamBinding {
  if (typeof found !== "object" || found === null) return false;
  if (!("WriteWrap" in found && "streamBaseState" in found && "kLastWriteWasAsync" in found)) return false;
  const { WriteWrap, streamBaseState, kLastWriteWasAsync } = found;
  return (
    typeof WriteWrap === "function" &&
    streamBaseState instanceof Int32Array &&
    typeof kLastWriteWasAsync === "number"
  );
}

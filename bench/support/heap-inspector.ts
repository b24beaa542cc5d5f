import { once } from "node:events";
import { WebSocket } from "ws";

/** What a Node process holds, right after its garbage was collected. */
export interface HeldMemory {
  readonly heapUsedBytes: number;
  /** Outside of the heap, but owned by objects in it: Buffers, mostly. */
  readonly externalBytes: number;
  readonly residentBytes: number;
  /** What keeps the event loop alive: sockets, servers, timers, requests. */
  readonly handles: number;
}

const EXPRESSION = `JSON.stringify({
  ...process.memoryUsage(),
  handles: process.getActiveResourcesInfo().length,
})`;

/** Collects garbage in a Node process that was started with `--inspect`, and looks what is left. */
export class HeapInspector {
  readonly #socket: WebSocket;
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  /** @param port - the inspector's. */
  static async attach(port: number): Promise<HeapInspector> {
    const response = await fetch(`http://127.0.0.1:${port}/json/list`);
    const [target]: unknown[] = JSON.parse(await response.text());
    const socket = new WebSocket(textAt(target, "webSocketDebuggerUrl"), { perMessageDeflate: false });
    await once(socket, "open");
    return new HeapInspector(socket);
  }

  async fetchHeld(): Promise<HeldMemory> {
    // What the first collection finalises is garbage for the second.
    await this.#call("HeapProfiler.collectGarbage", {});
    await this.#call("HeapProfiler.collectGarbage", {});
    const { result } = await this.#call("Runtime.evaluate", { expression: EXPRESSION });
    const usage: unknown = JSON.parse(textAt(valueAt(result, "result"), "value"));
    return {
      heapUsedBytes: numberAt(usage, "heapUsed"),
      externalBytes: numberAt(usage, "external"),
      residentBytes: numberAt(usage, "rss"),
      handles: numberAt(usage, "handles"),
    };
  }

  close(): void {
    this.#socket.terminate();
  }

  async #call(method: string, params: object): Promise<{ readonly result: unknown }> {
    this.#lastId += 1;
    const id = this.#lastId;
    this.#socket.send(JSON.stringify({ id, method, params }));
    for (;;) {
      const [data]: unknown[] = await once(this.#socket, "message");
      const message: unknown = JSON.parse(String(data));
      if (valueAt(message, "id") !== id) continue;
      return { result: valueAt(message, "result") };
    }
  }
}

function valueAt(object: unknown, key: string): unknown {
  return typeof object === "object" && object !== null ? Reflect.get(object, key) : undefined;
}

function textAt(object: unknown, key: string): string {
  const value = valueAt(object, key);
  if (typeof value === "string") return value;
  throw new Error(`The inspector gave no ${key}.`);
}

function numberAt(object: unknown, key: string): number {
  const value = valueAt(object, key);
  if (typeof value === "number") return value;
  throw new Error(`The inspector gave no ${key}.`);
}

import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** What a worker offers: asynchronous functions of one argument that can be cloned. */
export type WorkerCalls = Record<string, (argument: never) => unknown>;

/**
 * A process of its own that answers calls, so that what it does is not on the
 * CPU account, the heap or the event loop of anything else.
 */
export class WorkerProcess<Calls extends WorkerCalls> {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;

  /** @param module - beside the caller: `new URL("…", import.meta.url)`; it calls {@link serveCalls}. */
  constructor(module: URL) {
    this.#child = fork(fileURLToPath(module), { serialization: "advanced" });
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- serveCalls() sends nothing else.
    this.#child.on("message", (message) => this.#settle(message as Answer));
    this.#child.once("exit", (code) => {
      for (const { reject } of this.#waiting.values()) {
        reject(new Error(`A worker of the benchmark ended with code ${code ?? "none"}.`));
      }
      this.#waiting.clear();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  call<Name extends keyof Calls & string>(
    name: Name,
    argument: Parameters<Calls[Name]>[0],
  ): Promise<Awaited<ReturnType<Calls[Name]>>> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- The worker implements Calls.
      this.#waiting.set(id, { resolve: (value) => resolve(value as never), reject });
      this.#child.send({ id, name, argument }, (error) => {
        if (error !== null && this.#waiting.delete(id)) reject(error);
      });
    });
  }

  /** Ends the process; calls under way are rejected. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await exited;
  }

  #settle({ id, result, error }: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(error));
  }
}

/** The worker's side: answers calls until the parent goes away. */
export function serveCalls(calls: WorkerCalls): void {
  process.on("message", (message: { id: number; name: string; argument: never }) => {
    void answer(calls, message);
  });
  process.on("disconnect", () => process.exit());
}

async function answer(
  calls: WorkerCalls,
  { id, name, argument }: { id: number; name: string; argument: never },
): Promise<void> {
  let reply: Answer;
  try {
    reply = { id, result: await calls[name]?.(argument) };
  } catch (error) {
    reply = { id, error: error instanceof Error ? error.message : String(error) };
  }
  process.send?.(reply);
}

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { bindToCore } from "../cpu-core.ts";
import { EVENT_DATA } from "../fan-out-event.ts";
import type { FanOutPeer, FanOutPlace, FanOutServer, FanOutTransport } from "../fan-out-server.ts";
import { WorkerProcess } from "../worker-process.ts";
import type { FloorCalls } from "./floor-worker.ts";

const run = promisify(execFile);
const SOURCE = fileURLToPath(new URL("floor.c", import.meta.url));

/** A running floor. */
interface FloorProcess {
  readonly pid: number;
  readonly port: number;
  close(): Promise<void>;
}

/**
 * The ruler of all fan-out figures: the same loop as the server's, on nothing
 * but sockets. In C where a compiler is, else in Node.
 */
export class FloorPeer implements FanOutPeer {
  readonly name = "floor";
  readonly transports = ["websocket", "sse"] as const;
  /** What one event is on the wire; the same as ours, so that both send the same. */
  readonly frameBytes: Record<FanOutTransport, number> = { websocket: 450, sse: 450 };
  #program: string | undefined;

  /** `C` or `Node`, once it is prepared. */
  get language(): "C" | "Node" {
    return this.#program === undefined ? "Node" : "C";
  }

  async prepare(progress: (message: string) => void): Promise<undefined> {
    if (this.#program !== undefined || process.platform !== "linux") return;
    const folder = await mkdtemp(join(tmpdir(), "paperdb-bench-floor-"));
    const program = join(folder, "floor");
    try {
      await run("cc", ["-O2", "-o", program, SOURCE]);
      process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
      this.#program = program;
    } catch (error) {
      progress(
        `the floor is in Node, because cc failed: ${error instanceof Error ? error.message : String(error)}`,
      );
      await rm(folder, { recursive: true, force: true });
    }
  }

  async start(transport: FanOutTransport, { core }: FanOutPlace): Promise<FanOutServer> {
    const bytesPerEvent = this.frameBytes[transport];
    const floor =
      this.#program === undefined
        ? await startNode(transport, bytesPerEvent)
        : await startProgram(this.#program, transport, bytesPerEvent);
    const { pid, port } = floor;
    await bindToCore(pid, core);
    const upgrade = transport === "websocket" ? "connection: Upgrade\r\nupgrade: websocket\r\n" : "";
    return {
      name: `floor (${this.language})`,
      transport,
      pids: [pid],
      port,
      greeting: [{ send: Buffer.from(`GET / HTTP/1.1\r\nhost: floor\r\n${upgrade}\r\n`), until: "ready" }],
      publish: { port, greeting: [], request: PUBLISH, answer: "HTTP/1.1 202" },
      close: () => floor.close(),
    };
  }
}

const PUBLISH = Buffer.from(
  `POST / HTTP/1.1\r\nhost: floor\r\ncontent-type: application/json\r\ncontent-length: ${EVENT_DATA.length}\r\n\r\n${EVENT_DATA}`,
);

async function startNode(transport: FanOutTransport, bytesPerEvent: number): Promise<FloorProcess> {
  const worker = new WorkerProcess<FloorCalls>(new URL("floor-worker.ts", import.meta.url));
  const port = await worker.call("listen", { transport, bytesPerEvent });
  return { pid: worker.pid, port, close: () => worker.close() };
}

async function startProgram(
  program: string,
  transport: FanOutTransport,
  bytesPerEvent: number,
): Promise<FloorProcess> {
  const child = spawn(program, [transport, String(bytesPerEvent)], { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const lines = createInterface(child.stdout);
  const [line] = await Promise.race([
    once(lines, "line"),
    exited.then(() => {
      throw new Error("The floor ended at its start.");
    }),
  ]);
  return {
    pid: child.pid ?? 0,
    port: Number(line),
    async close() {
      child.stdin.end();
      await exited;
    },
  };
}

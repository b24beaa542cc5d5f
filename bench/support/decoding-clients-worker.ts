import { DecodingClient, type DecodingTarget } from "./decoding-client.ts";
import { serveCalls, type WorkerCalls } from "./worker-process.ts";

/** What the process of clients does. */
export interface DecodingCalls extends WorkerCalls {
  /** Opens clients in place of those that were open. Resolves once all are live. */
  open(options: { readonly target: DecodingTarget; readonly connections: number }): Promise<void>;
  /** These events come next. */
  expect(events: { readonly first: number; readonly count: number }): void;
  /** Resolves once all clients have them all, in order, to the bytes that came for it. */
  received(nothing: undefined): Promise<number>;
  close(nothing: undefined): void;
}

const WAIT_MS = 120_000;
const CONNECTING_AT_ONCE = 100;

let clients: DecodingClient[] = [];
let missing = 0;
let failure: Error | undefined;
let settle: () => void = () => undefined;

function done(error?: Error): void {
  failure ??= error;
  missing -= 1;
  if (missing === 0 || failure !== undefined) settle();
}

/** Resolves once nobody is missing. */
async function everybody(): Promise<void> {
  let deadline: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve) => {
    settle = resolve;
    deadline = setTimeout(() => {
      failure ??= new Error(`${missing} clients have not got everything in time`);
      resolve();
    }, WAIT_MS);
    if (missing === 0 || failure !== undefined) resolve();
  });
  clearTimeout(deadline);
  if (failure !== undefined) throw failure;
}

const calls: DecodingCalls = {
  async open({ target, connections }) {
    calls.close(undefined);
    for (let opened = 0; opened < connections; opened += CONNECTING_AT_ONCE) {
      const count = Math.min(CONNECTING_AT_ONCE, connections - opened);
      missing = count;
      for (let index = 0; index < count; index += 1) clients.push(new DecodingClient(target, done));
      await everybody();
    }
  },
  expect({ first, count }) {
    missing = clients.length;
    for (const client of clients) client.expect(first, count);
  },
  async received() {
    await everybody();
    return clients.reduce((sum, client) => sum + client.bytes, 0);
  },
  close() {
    for (const client of clients) client.close();
    clients = [];
    failure = undefined;
  },
};

serveCalls(calls);

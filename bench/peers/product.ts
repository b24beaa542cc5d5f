import { freePort } from "../../tests/support/free-port.ts";
import type { FanOutPlace } from "../support/fan-out-server.ts";
import { writeConfig } from "./config-folder.ts";
import { PeerProcess } from "./peer-process.ts";

/** A product that is a program with a configuration file. */
export interface Product<Ports extends Readonly<Record<string, number>>> {
  readonly program: string;
  /** @param file - the configuration. */
  args(file: string): readonly string[];
  readonly configName: string;
  config(ports: Ports): string;
  /** Names; each gets a free port. */
  readonly ports: readonly (keyof Ports & string)[];
}

/** A product that runs. */
export interface StartedProduct<Ports> {
  readonly pid: number;
  readonly ports: Ports;
  close(): Promise<void>;
}

/** Starts the product with a configuration of its own; resolves once it listens. */
export async function startProduct<Ports extends Readonly<Record<string, number>>>(
  product: Product<Ports>,
  { core }: FanOutPlace,
): Promise<StartedProduct<Ports>> {
  const entries: [string, number][] = [];
  for (const name of product.ports) entries.push([name, await freePort()]);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- One for each name of Ports.
  const ports = Object.fromEntries(entries) as Ports;
  const config = await writeConfig(product.configName, product.config(ports));
  const server = new PeerProcess({
    program: product.program,
    args: product.args(config.file),
    core,
    cwd: config.path,
    env: {
      // Caddy else leaves its state in the user's home.
      XDG_CONFIG_HOME: config.path,
      XDG_DATA_HOME: config.path,
      // All of these are written in Go, which else has a thread for each core of the machine.
      ...(core === undefined ? {} : { GOMAXPROCS: "1" }),
    },
  });
  try {
    await server.untilListening(entries.map(([, port]) => port));
  } catch (error) {
    await config.remove();
    throw error;
  }
  const close = async (): Promise<void> => {
    await server.stop();
    await config.remove();
  };
  return { pid: server.pid, ports, close };
}

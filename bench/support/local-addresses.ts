/** Well below the number of ports that one address has. */
const CONNECTIONS_PER_ADDRESS = 5000;
const FIRST = 2;
const LAST = 250;

/** Each process begins elsewhere, so that several have ports enough. */
let connections = CONNECTIONS_PER_ADDRESS * (process.pid % (LAST - FIRST + 1));

/**
 * The address that the next connection to this machine comes from: 127.0.0.2
 * and so on, so that ports do not run out. Undefined where only 127.0.0.1 is there.
 */
export function nextLocalAddress(): string | undefined {
  if (process.platform !== "linux") return undefined;
  const block = Math.floor(connections / CONNECTIONS_PER_ADDRESS);
  connections += 1;
  return `127.0.0.${FIRST + (block % (LAST - FIRST + 1))}`;
}

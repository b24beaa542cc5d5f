/**
 * A WebSocket's request as it goes over the wire, for a {@link RawSocket}.
 *
 * @param headers - those beyond what each has; of `paperdb.v1` unless told.
 */
export function upgradeRequest(
  token: string,
  headers: readonly string[] = ["sec-websocket-protocol: paperdb.v1"],
): string {
  const lines = [
    `GET /?token=${token} HTTP/1.1`,
    "host: test",
    "connection: upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    "sec-websocket-key: AQIDBAUGBwgJCgsMDQ4PEA==",
    ...headers,
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}

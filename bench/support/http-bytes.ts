/** By name, in lower case. */
export type RequestHeaders = Readonly<Record<string, string>>;

/** A GET request of HTTP/1.1. */
export function getRequest(path: string, headers: RequestHeaders = {}): Buffer {
  return Buffer.from(`GET ${path} HTTP/1.1\r\nhost: bench\r\n${linesOf(headers)}\r\n`);
}

/** A POST request of HTTP/1.1, whose body is JSON. */
export function postRequest(path: string, body: string, headers: RequestHeaders = {}): Buffer {
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: bench\r\n${linesOf(headers)}content-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function linesOf(headers: RequestHeaders): string {
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("");
}

/** Headers that others have set on the response (CORS). */
export type ResponseHeaders = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** The response ends with the connection, so it needs neither a length nor chunks. */
const OWN_FIELDS =
  "content-type: text/event-stream\r\ncache-control: no-store\r\nx-accel-buffering: no\r\nconnection: close\r\n";
const SECOND_MS = 1000;

let dateField = "";
let dateFieldSecond = 0;

/** The head of an SSE response, with these fields besides its own. */
export function responseHead(headers: ResponseHeaders): string {
  let fields = "";
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined) fields += `${name}: ${String(value)}\r\n`;
  }
  return `HTTP/1.1 200 OK\r\n${fields}${OWN_FIELDS}${currentDateField()}\r\n`;
}

/** Made anew each second: a date takes longer than all else here. */
function currentDateField(): string {
  const nowMs = Date.now();
  const second = Math.floor(nowMs / SECOND_MS);
  if (second !== dateFieldSecond) {
    dateFieldSecond = second;
    dateField = `date: ${new Date(nowMs).toUTCString()}\r\n`;
  }
  return dateField;
}
